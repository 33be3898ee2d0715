"""The daemon's API as Python calls."""

import base64
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import quote

from runnerd.client.answers import ENDED, Job, JobPage, Model, Prediction, Registration
from runnerd.client.follow import follow_content, follow_events
from runnerd.client.transport import Transport

DEFAULT_URL = "http://127.0.0.1:8000"
_PREDICT_TIMEOUT = 600.0
_JOBS = "/mlops/training/jobs"


class Client:
    """A connection to one daemon; a context manager, for one thread at a time.

    ``url`` is the daemon's origin, ``token`` its bearer token where it asks for one, ``timeout``
    the seconds that each answer may take. Raises ValueError for a ``url`` that is no http
    address; every call raises DaemonAway, Unauthenticated and RequestRefused.
    """

    def __init__(
        self, url: str = DEFAULT_URL, token: str | None = None, timeout: float = 30.0
    ) -> None:
        self._transport = Transport(url, token, timeout)
        self.url = self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._transport.close()

    def submit(
        self,
        script_name: str,
        script: bytes,
        *,
        experiment_name: str,
        model_name: str,
        requirements: Sequence[str] = (),
        environment_vars: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        timeout: int | None = None,
        queue: str | None = None,
        priority: int | None = None,
        cpus: float | None = None,
        memory: int | str | None = None,
        gpus: int | None = None,
        executor: str | None = None,
        image: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Submit a script (UTF-8 source); ``timeout`` in seconds, the daemon's default if None.

        ``memory`` is in bytes, or a text with a unit as ``"8GiB"``.

        The same ``idempotency_key`` never makes a second job; without one each call makes one.
        """
        body: dict[str, Any] = {
            "script_name": PurePath(script_name).name,
            "script_content": base64.b64encode(script).decode("ascii"),
            "experiment_name": experiment_name,
            "model_name": model_name,
            "requirements": list(requirements),
            "environment_vars": dict(environment_vars or {}),
            "tags": dict(tags or {}),
        }
        chosen = {
            "timeout": timeout,
            "queue": queue,
            "priority": priority,
            "cpus": cpus,
            "memory": memory,
            "gpus": gpus,
            "executor": executor,
            "image": image,
        }
        body |= {name: value for name, value in chosen.items() if value is not None}
        answer = self._transport.request(
            "POST",
            "/mlops/training/upload",
            repeatable=True,
            json=body,
            headers={"Idempotency-Key": idempotency_key or str(uuid.uuid4())},
        )
        return cast(Job, answer)

    def get_job(self, job_id: str) -> Job:
        """Give a job as it stands now."""
        return cast(Job, self._transport.request("GET", _job(job_id)))

    def list_jobs(
        self,
        *,
        status: str | None = None,
        experiment_name: str | None = None,
        model_name: str | None = None,
        tag: str | None = None,
        queue: str | None = None,
        parked: bool = False,
        limit: int = 100,
        cursor: str | None = None,
    ) -> JobPage:
        """Give one page of jobs, newest first; ``tag`` is a key, or ``key=value``."""
        filters = {
            "status": status,
            "experiment_name": experiment_name,
            "model_name": model_name,
            "tag": tag,
            "queue": queue,
            "parked": "true" if parked else None,
            "limit": str(limit),
            "cursor": cursor,
        }
        params = {name: value for name, value in filters.items() if value is not None}
        return cast(JobPage, self._transport.request("GET", _JOBS, params=params))

    def cancel(self, job_id: str) -> Job:
        """Ask for a job's end; asking twice is no fault."""
        answer = self._transport.request("POST", f"{_job(job_id)}/cancel", repeatable=True)
        return cast(Job, answer)

    def retry(self, job_id: str) -> Job:
        """Queue an ended job again, for a new attempt."""
        return cast(Job, self._transport.request("POST", f"{_job(job_id)}/retry"))

    def release(self, job_id: str) -> Job:
        """Queue a parked job again, once what failed it is mended."""
        return cast(Job, self._transport.request("POST", f"{_job(job_id)}/release"))

    def attempts(self, job_id: str) -> list[dict[str, Any]]:
        """List the tries at a job, oldest first."""
        answer = self._transport.request("GET", f"{_job(job_id)}/attempts")
        return cast(list[dict[str, Any]], answer["items"])

    def log(self, job_id: str) -> Iterator[bytes]:
        """Give the log as far as it is written, in pieces."""
        with self._transport.stream(f"{_job(job_id)}/logs") as response:
            yield from response.iter_bytes()

    def follow_log(self, job_id: str) -> Iterator[bytes]:
        """Give the log from its beginning, as it is written, until the job has ended."""
        return follow_content(
            self._transport,
            f"{_job(job_id)}/logs",
            lambda: self.get_job(job_id)["status"] in ENDED,
        )

    def follow_events(self, job_id: str) -> Iterator[dict[str, Any]]:
        """Give a job's changes of state from the first, as they happen, until it has ended."""
        for event in follow_events(self._transport, f"{_job(job_id)}/events"):
            if event.kind == "state":
                yield json.loads(event.data)

    def run_metrics(self, run_id: str) -> dict[str, float]:
        """Give the newest value of each metric of a run."""
        answer = self._transport.request(
            "GET", "/api/2.0/mlflow/runs/get", params={"run_id": run_id}
        )
        metrics = answer["run"]["data"].get("metrics", [])
        return {metric["key"]: float(metric["value"]) for metric in metrics}

    def models(self) -> list[Model]:
        """Give every registered model."""
        return cast(list[Model], self._transport.request("GET", "/mlops/models"))

    def model(self, name: str) -> Model:
        """Give one registered model."""
        return cast(Model, self._transport.request("GET", f"/mlops/models/{quote(name, safe='')}"))

    def register(
        self,
        model_name: str,
        run_id: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> Registration:
        """Register the model that a run logged under ``model_name``."""
        body: dict[str, Any] = {"model_name": model_name, "run_id": run_id}
        body |= {"description": description} if description is not None else {}
        body |= {"tags": dict(tags)} if tags else {}
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = self._transport.request("POST", "/mlops/registry", json=body, headers=headers)
        return cast(Registration, answer)

    def drain(self) -> dict[str, Any]:
        """Have the daemon claim nothing; tells how many jobs it has in hand."""
        answer = self._transport.request("POST", "/mlops/drain", repeatable=True)
        return cast(dict[str, Any], answer)

    def resume(self) -> dict[str, Any]:
        """Have the daemon claim jobs again."""
        answer = self._transport.request("POST", "/mlops/resume", repeatable=True)
        return cast(dict[str, Any], answer)

    def predict(
        self,
        model_name: str,
        inputs: Mapping[str, Sequence[Any]],
        *,
        model_version: str | None = None,
        return_probabilities: bool = False,
    ) -> Prediction:
        """Ask a model for predictions; ``inputs`` has one list a feature, all equally long."""
        body: dict[str, Any] = {
            "model_name": model_name,
            "inputs": inputs,
            "return_probabilities": return_probabilities,
        }
        if model_version is not None:
            body["model_version"] = model_version
        answer = self._transport.request(
            "POST", "/mlops/inference", repeatable=True, json=body, timeout=_PREDICT_TIMEOUT
        )
        return cast(Prediction, answer)

    def status(self) -> dict[str, Any]:
        """Give the daemon's own state and its plugins' health."""
        return cast(dict[str, Any], self._transport.request("GET", "/mlops/status"))

    def plugins(self) -> list[dict[str, Any]]:
        """List the plugins of the daemon's installation."""
        answer = self._transport.request("GET", "/mlops/plugins")
        return cast(list[dict[str, Any]], answer["plugins"])

    def nodes(self) -> list[dict[str, Any]]:
        """List the daemons that share the queue."""
        answer = self._transport.request("GET", "/mlops/nodes")
        return cast(list[dict[str, Any]], answer["nodes"])

    def release_node(self, name: str) -> dict[str, Any]:
        """Declare that a node is gone for good; tells which jobs it held until now."""
        path = f"/mlops/nodes/{quote(name, safe='')}/release"
        return cast(dict[str, Any], self._transport.request("POST", path, repeatable=True))

    def queues(self) -> list[dict[str, Any]]:
        """List the queues with their limits and what they hold."""
        answer = self._transport.request("GET", "/mlops/queues")
        return cast(list[dict[str, Any]], answer["queues"])


def _job(job_id: str) -> str:
    return f"{_JOBS}/{quote(job_id, safe='')}"

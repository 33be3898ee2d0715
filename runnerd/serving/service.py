"""Predictions by registered models, each in a process of its own in the model's environment."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyio.to_thread import run_sync

from runnerd.environments import Environments
from runnerd.plugins import BackendAway, ModelVersion, Storage, Tracker
from runnerd.serving.environment import environment_of
from runnerd.serving.errors import ModelUnusable, UnfitInput
from runnerd.serving.files import ModelFiles
from runnerd.serving.pool import Key, Pool
from runnerd.serving.process import Launch, Worker, running

_KEPT_COPIES = 32
_TURN_SECONDS = 10.0
_ROOM = "worker-"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model answered. ``seconds`` is the time it took once its worker was free.

    ``predictions`` has one item a row, in plain JSON, with null for what JSON can't say;
    ``probabilities`` is None where they were not asked for or the model has none.
    """

    model_name: str
    model_version: str
    predictions: list[Any]
    probabilities: list[Any] | None
    seconds: float


class Serving:
    """Answers predictions. ``models_dir`` keeps copies of models, ``sockets_dir`` workers' folders.

    Timeouts and ``idle_seconds`` are in seconds. ``variables`` are what workers see, without
    those of MLflow and Python. ``base`` gives the requirements for models that name none.
    """

    def __init__(
        self,
        *,
        tracker: Tracker,
        storage: Storage,
        environments: Environments,
        models_dir: Path,
        sockets_dir: Path,
        max_workers: int,
        idle_seconds: float,
        load_timeout: float,
        predict_timeout: float,
        max_rows: int,
        variables: Mapping[str, str],
        base: Callable[[], tuple[str, ...]],
    ) -> None:
        self._tracker = tracker
        self._environments = environments
        self._files = ModelFiles(storage, models_dir, max(_KEPT_COPIES, max_workers))
        self._sockets_dir = sockets_dir
        self._load_timeout = load_timeout
        self._predict_timeout = predict_timeout
        self._max_rows = max_rows
        self._variables = variables
        self._base = base
        self._pool = Pool(
            max_workers=max_workers,
            idle_seconds=idle_seconds,
            start_seconds=load_timeout,
            turn_seconds=min(_TURN_SECONDS, predict_timeout),
        )
        self._tending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Make the folders and begin to look after workers."""
        await self._files.open()
        await run_sync(_prepare, self._sockets_dir)
        self._tending = asyncio.create_task(self._pool.tend())

    async def close(self) -> None:
        """End every worker; requests under way get ``ServingBusy``. No process is left."""
        await self._pool.close()
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending

    async def predict(
        self,
        name: str,
        version: str | None,
        inputs: Mapping[str, Sequence[Any]] | bytes,
        *,
        probabilities: bool,
    ) -> Prediction:
        """Predict from columns of equal length, given as such or as the JSON text of them.

        ``version`` is a number, ``latest`` (as is None) or an alias (``@champion``). Raises
        ``NotFound``, ``BackendAway``, ``UnfitInput``, ``ModelUnusable`` or ``ServingBusy``.
        """
        body = inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode()
        key, found = await self._resolve(name, version)
        ask = partial(self._ask, body=body, probabilities=probabilities)
        answer, seconds = await self._pool.run(key, partial(self._worker, key, found), ask)
        if "unfit" in answer:
            raise UnfitInput(answer["column"], answer["unfit"])
        return Prediction(*key, answer["predictions"], answer["probabilities"], seconds)

    def census(self) -> dict[str, int]:
        """Count the workers that are ``starting``, ``idle``, ``busy`` or ``leaving``."""
        return self._pool.census()

    async def _resolve(self, name: str, version: str | None) -> tuple[Key, ModelVersion | None]:
        """Ask the tracker; while it is away, numbered versions that are loaded still answer."""
        try:
            found = await self._tracker.get_version(name, version or "latest")
        except BackendAway:
            key = (name, version or "latest")
            if not self._pool.warm(key):
                raise
            return key, None
        return (found.name, found.version), found

    async def _ask(
        self, worker: Worker, *, body: bytes, probabilities: bool
    ) -> tuple[dict[str, Any], float]:
        began = time.perf_counter()
        answer = await worker.ask(body, probabilities=probabilities, seconds=self._predict_timeout)
        return answer, time.perf_counter() - began

    @asynccontextmanager
    async def _worker(self, key: Key, found: ModelVersion | None) -> AsyncIterator[Worker]:
        if found is None:  # it was warm when asked for, and has ended since
            found = await self._tracker.get_version(*key)
        if found.artifacts is None:
            raise ModelUnusable(
                "the files of this model version lie outside the daemon's storage: "
                "log the model through the daemon's tracking address"
            )
        async with (
            self._files.hold(found.artifacts) as files,
            environment_of(found, files, self._environments, self._base()) as (folder, lock),
        ):
            with tempfile.TemporaryDirectory(
                dir=self._sockets_dir, prefix=_ROOM, ignore_cleanup_errors=True
            ) as room:
                launch = Launch(
                    environment=folder,
                    lock=lock,
                    model=files,
                    room=Path(room),
                    variables=self._variables,
                    max_rows=self._max_rows,
                    load_timeout=self._load_timeout,
                )
                async with running(launch) as worker:
                    yield worker


def _prepare(folder: Path) -> None:
    """Make the folder and clear away what the workers of a killed daemon left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for room in folder.glob(f"{_ROOM}*"):
        shutil.rmtree(room, ignore_errors=True)

"""Three daemons that share a queue on Postgres, and blows that fall on them."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx

from runnerd.testing.daemons import RunningDaemon, running_daemon
from tests.faults.watching import until
from tests.postgres import PostgresServer

NODES = ("a", "b", "c")


class Fleet:
    """The daemons by their nodes' names. ``longest_blow`` is in seconds, mending included."""

    def __init__(
        self, folder: Path, package_cache: Path, server: PostgresServer, chance: random.Random
    ) -> None:
        self._folder = folder
        self._package_cache = package_cache
        self._server = server
        self._database = server.make_database()
        self._chance = chance
        self._stacks = {node: ExitStack() for node in NODES}
        self.daemons: dict[str, RunningDaemon] = {}
        self.longest_blow = 0.0

    def __enter__(self) -> "Fleet":
        for node in NODES:
            self._start(node)
        return self

    def __exit__(self, *_: object) -> None:
        for stack in self._stacks.values():
            stack.close()

    def kill(self) -> None:
        """Kill a daemon, and start it again while the others go on without it."""
        victim = self._chance.choice(NODES)
        with self._blow():
            self.daemons[victim].stop(signal.SIGKILL)
            self._stacks[victim].close()
            time.sleep(self._chance.uniform(0.5, 2.0))
            self._start(victim)

    def pause(self, seconds: float) -> None:
        """Let a daemon stand still."""
        process = self.daemons[self._chance.choice(NODES)].process
        with self._blow():
            process.send_signal(signal.SIGSTOP)
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)

    def take_the_database(self) -> None:
        """Kill Postgres as a crash does, and start it again."""
        with self._blow():
            self._server.stop("immediate")
            time.sleep(self._chance.uniform(1.0, 3.0))
            self._server.start()

    def submit(self, body: dict[str, Any], key: str) -> str:
        """Submit by one daemon or another until one has taken the job; gives its id."""
        return until(lambda: self._submitted(body, key), seconds=60, pause=0.1)

    def _submitted(self, body: dict[str, Any], key: str) -> str | None:
        daemon = self.daemons[self._chance.choice(NODES)]
        headers = {"Idempotency-Key": key}
        try:
            with httpx.Client(base_url=daemon.url, timeout=5) as client:
                answer = client.post("/mlops/training/upload", json=body, headers=headers)
        except httpx.TransportError:
            return None
        assert answer.status_code in (202, 503), answer.text
        job_id: str | None = answer.json().get("job_id")
        return job_id

    @contextmanager
    def _blow(self) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.longest_blow = max(self.longest_blow, time.monotonic() - begun)

    def _start(self, node: str) -> None:
        context: AbstractContextManager[RunningDaemon] = running_daemon(
            self._folder / node,
            self._package_cache,
            variables={
                "RUNNERD_NODE": node,
                "RUNNERD_DATABASE_URL": self._database,
                "RUNNERD_ENVIRONMENTS_BASE": '["idna"]',
                "RUNNERD_JOBS_MAX_RUNNING": "3",
                "RUNNERD_PLUGINS_MLFLOW_URL": "http://127.0.0.1:9",
            },
        )
        self.daemons[node] = self._stacks[node].enter_context(context)

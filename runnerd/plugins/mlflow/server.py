"""The MLflow server that the daemon runs itself: started, restarted with backoff, stopped."""

import contextlib
import hashlib
import json
import os
import secrets
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from subprocess import PIPE, STDOUT

import anyio
import anyio.abc
import anyio.to_thread
import structlog

from runnerd.plugins.errors import BackendAway
from runnerd.plugins.health import Condition, Health
from runnerd.plugins.mlflow.database import DATABASE, default_database
from runnerd.plugins.mlflow.marked import VARIABLE, kill_marked

GRACE_SECONDS = 5.0
FIRST_BACKOFF = 0.5
LAST_BACKOFF = 30.0
STEADY_SECONDS = 60.0
POLL_SECONDS = 0.25
MAX_SOCKET_PATH = 100
KILLED = 128  # as for a shell, the guardian's exit code is this and the signal's number
MAX_LOG_BYTES = 8 * 1024 * 1024
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")
# ``mlflow db upgrade URL`` would show the database's password in the list of processes.
UPGRADE = (
    "import os; from mlflow.cli import cli; "
    "cli(['db', 'upgrade', os.environ['MLFLOW_BACKEND_STORE_URI']])"
)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What the server is started with.

    ``folder`` is private to it, ``origin`` the daemon's public address, ``store_uri`` its
    database, None for a SQLite file in ``folder``. ``start_timeout`` is in seconds, and does not
    bound the migration of a database that another MLflow used.
    """

    folder: Path
    origin: str
    store_uri: str | None
    start_timeout: float


class ManagedServer:
    """Keeps one server running. ``prepare`` comes first, then ``run`` until it is cancelled."""

    def __init__(self, plan: ServerPlan) -> None:
        self._plan = plan
        self._temporary: Path | None = None
        self._marker = ""
        self._started_at = time.monotonic()
        self._trouble = ""
        self._up = False
        self.socket = plan.folder / "run" / "mlflow.sock"

    def prepare(self) -> None:
        """Make the folders, choose the socket's path and end what a killed daemon left running."""
        self._plan.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(os.fsencode(self.socket)) > MAX_SOCKET_PATH:
            self._temporary = Path(tempfile.mkdtemp(prefix="runnerd-"))
            self.socket = self._temporary / "mlflow.sock"
        self.socket.parent.mkdir(mode=0o700, exist_ok=True)
        self.socket.parent.chmod(0o700)
        if self._marker_file.exists() and (
            stale := kill_marked(self._marker_file.read_text().strip())
        ):
            _log.warning("ended the MLflow server of a daemon that was killed", pids=stale)

    def health_while_away(self, seen: str) -> Health:
        """Give the health of a server of which a probe has ``seen`` that it does not answer."""
        if self._trouble:
            return Health(Condition.UNHEALTHY, self._trouble)
        if self._up:
            return Health(Condition.UNHEALTHY, seen)
        return Health(
            Condition.STARTING, f"the MLflow server is starting ({self._age:.0f} s so far)"
        )

    async def run(self, probe: Callable[[], Awaitable[object]]) -> None:
        """Start the server again whenever it ends; ``probe`` raises ``BackendAway`` until it is
        up. Runs until cancelled, and has then ended every process of it.
        """
        backoff = FIRST_BACKOFF
        while True:
            begun = time.monotonic()
            try:
                reason = await self._serve(probe)
            except OSError as error:
                reason = f"could not be started: {error.strerror}"
            if time.monotonic() - begun > STEADY_SECONDS:
                backoff = FIRST_BACKOFF
            self._trouble = f"the MLflow server {reason}; its output is in {self._log_file}"
            _log.error("the MLflow server is down", why=reason, next_start_in=backoff)
            await anyio.sleep(backoff)
            backoff = min(LAST_BACKOFF, backoff * 2)

    def clear(self) -> None:
        """Remove what lies outside the folder."""
        if self._temporary:
            self.socket.unlink(missing_ok=True)
            self._temporary.rmdir()

    async def _serve(self, probe: Callable[[], Awaitable[object]]) -> str:
        process = await self._start()
        try:
            # A migration may take its time: to kill one half way would be worse than to wait.
            limit = float("inf") if self._migrates else self._plan.start_timeout
            with anyio.move_on_after(limit) as starting:
                if await self._came_up(process, probe):
                    starting.deadline = float("inf")
                    self._trouble, self._up = "", True
                    self._schema_file.write_text(self._schema)
                    _log.info("the MLflow server is up", seconds=self._age)
                return self._end_of(await process.wait())
            return f"did not come up within {self._plan.start_timeout:g} seconds"
        finally:
            self._up = False
            with anyio.CancelScope(shield=True):
                await self._stop(process)

    async def _came_up(
        self, process: anyio.abc.Process, probe: Callable[[], Awaitable[object]]
    ) -> bool:
        while process.returncode is None:
            with contextlib.suppress(BackendAway):
                await probe()
                return True
            await anyio.sleep(POLL_SECONDS)
        return False

    async def _start(self) -> anyio.abc.Process:
        self._started_at = time.monotonic()
        self._marker = secrets.token_hex(16)
        self._marker_file.write_text(self._marker)
        self.socket.unlink(missing_ok=True)
        if self._log_file.exists() and self._log_file.stat().st_size > MAX_LOG_BYTES:
            self._log_file.replace(self._log_file.with_suffix(".log.1"))
        with self._log_file.open("ab") as output:
            return await anyio.open_process(
                self._command(),
                stdin=PIPE,
                stdout=output,
                stderr=STDOUT,
                cwd=self._plan.folder,
                env=self._variables(),
                start_new_session=True,
            )

    async def _stop(self, process: anyio.abc.Process) -> None:
        if process.stdin:
            await process.stdin.aclose()
        with anyio.move_on_after(GRACE_SECONDS + 1):
            await process.wait()
        await anyio.to_thread.run_sync(kill_marked, self._marker)
        await process.wait()

    def _command(self) -> list[str]:
        server = [
            *(sys.executable, "-m", "mlflow", "server", "--workers", "1", "--serve-artifacts"),
            *("--artifacts-destination", f"{self._plan.origin}/api/2.0/mlflow-artifacts/artifacts"),
            *("--cors-allowed-origins", self._plan.origin),
            "--uvicorn-opts",
            f"--uds {shlex.quote(str(self.socket))} --timeout-graceful-shutdown 3 "
            "--timeout-keep-alive 75 --no-access-log --log-level warning",
        ]
        commands = [server]
        if self._migrates:
            commands.insert(0, [sys.executable, "-c", UPGRADE])
        guardian = Path(__file__).with_name("guardian.py")
        return [
            *(sys.executable, "-I", "-S", str(guardian)),
            *(json.dumps(commands), str(GRACE_SECONDS)),
        ]

    def _variables(self) -> dict[str, str]:
        return {
            **{name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ},
            "MLFLOW_BACKEND_STORE_URI": self._store_uri,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
            VARIABLE: self._marker,
        }

    @property
    def _store_uri(self) -> str:
        return self._plan.store_uri or default_database(self._plan.folder)

    @property
    def _migrates(self) -> bool:
        """Whether the database may be another MLflow version's; a new one is made by the server."""
        if self._schema_file.exists():
            return self._schema_file.read_text() != self._schema
        return bool(self._plan.store_uri) or (self._plan.folder / DATABASE).exists()

    @property
    def _schema(self) -> str:
        database = hashlib.sha256(self._store_uri.encode()).hexdigest()
        return f"{version('mlflow')} {database}"

    @property
    def _schema_file(self) -> Path:
        return self._plan.folder / "schema"

    @property
    def _marker_file(self) -> Path:
        return self._plan.folder / "server.marker"

    @property
    def _log_file(self) -> Path:
        return self._plan.folder / "server.log"

    @property
    def _age(self) -> float:
        return round(time.monotonic() - self._started_at, 1)

    def _end_of(self, code: int) -> str:
        number = -code if code < 0 else code - KILLED
        if number in list(signal.Signals):
            return f"was killed by {signal.Signals(number).name}"
        return f"ended with exit code {code}{self._last_words()}"

    def _last_words(self) -> str:
        with self._log_file.open("rb") as output:
            output.seek(max(0, self._log_file.stat().st_size - 4096))
            lines = output.read().decode(errors="replace").strip().splitlines()
        words = lines[-1].strip()[:300] if lines else ""
        return f": {words.replace(self._store_uri, '…')}" if words else ""

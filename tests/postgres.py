"""A real Postgres server of the tests' own, on a socket in a temporary folder."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BINARIES = "/usr/lib/postgresql/*/bin"
PASSWORD = "tests-only-8Qz"


@dataclass
class PostgresServer:
    """``folder`` holds its data and its socket."""

    folder: Path
    binaries: Path
    user: str | None

    def start(self) -> None:
        self._control("start", "-w", "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        self._control("stop", "-w", "-m", mode)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and to every process that it started."""
        leader = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
        for process in (leader, *map(int, children)):
            os.kill(process, number)

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{PASSWORD}@/{database}?host={self.folder}"

    def make_database(self) -> str:
        """Make an empty database and give its URL."""
        name = f"t{uuid.uuid4().hex}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def query_at(self, url: str, statement: str) -> str:
        """Run a statement in the database of a URL that this server gave."""
        return self.query(url.partition("?")[0].rpartition("/")[2], statement)

    def query(self, database: str, statement: str) -> str:
        """Run a statement as an operator would; gives what ``psql`` prints."""
        ran = subprocess.run(
            [
                self.binaries / "psql",
                "-XAtq",
                "-h",
                self.folder,
                "-U",
                "postgres",
                "-c",
                statement,
                database,
            ],
            env={**os.environ, "PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def make(self) -> None:
        """Make the data folder."""
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if self.user is not None:
            shutil.chown(self.folder, self.user)
            shutil.chown(secret, self.user)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "postgres", "-E", "UTF8")
        with (self.folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n"
                "fsync = off\nmax_connections = 200\n"
            )

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", str(self.folder / "data"), *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        more = ["-A", "scram-sha-256", f"--pwfile={self.folder / 'password'}", "--no-sync"]
        ran = subprocess.run(
            [self.binaries / program, *arguments, *(more if program == "initdb" else [])],
            user=self.user,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server; a test that asks for one is skipped where Postgres is not installed."""
    found = sorted(Path("/").glob(f"{BINARIES[1:]}/initdb"))
    if not found:
        pytest.skip(f"Postgres is not installed: no initdb in {BINARIES}")
    user = "postgres" if os.geteuid() == 0 else None  # initdb refuses to work for root
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = PostgresServer(folder, found[-1].parent, user)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder)

"""A cluster with accounting: a MariaDB server and Slurm's daemon before it."""

import getpass
import subprocess
import time
from functools import cached_property
from pathlib import Path

from cluster import PATH, SECONDS, Cluster, free_port

NONE = "AccountingStorageType=accounting_storage/none"
PASSWORD = "tests-only-8Qz"
CONF = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser={user}
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass={password}
"""


class AccountedCluster(Cluster):
    """Its accounting knows what its controller has forgotten."""

    @cached_property
    def ports(self) -> tuple[int, int]:
        return free_port(), free_port()

    def make(self) -> None:
        super().make()
        port, database_port = self.ports
        accounting = (
            "AccountingStorageType=accounting_storage/slurmdbd\n"
            f"AccountingStorageHost=127.0.0.1\nAccountingStoragePort={port}\n"
            f"AccountingStoragePass={self.folder}/munge.socket"
        )
        self.conf.write_text(self.conf.read_text().replace(NONE, accounting))
        conf = self.folder / "slurmdbd.conf"
        fields = {"folder": self.folder, "user": getpass.getuser(), "password": PASSWORD}
        conf.write_text(CONF.format(port=port, database_port=database_port, **fields))
        conf.chmod(0o600)
        command = [
            "mariadb-install-db",
            "--no-defaults",
            "--auth-root-authentication-method=normal",
        ]
        command += [f"--datadir={self.folder}/database", f"--user={getpass.getuser()}"]
        subprocess.run([*command, "--skip-test-db"], check=True, capture_output=True, timeout=120)

    def commands(self) -> dict[str, list[str]]:
        munged, *others = super().commands().items()
        database = [
            "--no-defaults",
            f"--user={getpass.getuser()}",
            f"--datadir={self.folder}/database",
            f"--socket={self._socket}",
            f"--port={self.ports[1]}",
            "--bind-address=127.0.0.1",
            f"--pid-file={self.folder}/mariadbd.pid",
            "--innodb-buffer-pool-size=32M",
        ]
        return dict([munged, ("mariadbd", database), ("slurmdbd", ["-D"]), *others])

    def start_one(self, name: str, *more: str) -> None:
        super().start_one(name, *more)
        if name == "mariadbd":
            self.until(self._socket.exists, name)
            self._make_user()
        if name == "slurmdbd":
            self.until(lambda: "ok" in self._ask("show", "cluster"), name)
            self._ask("add", "cluster", "tests")

    def forget(self) -> None:
        """Make the controller forget all jobs, as it does by itself after ``MinJobAge``."""
        self.stop_one("slurmctld")
        self.start_one("slurmctld", "-c")
        self.until_ready()

    @property
    def _socket(self) -> Path:
        return self.folder / "mariadb.socket"

    def _make_user(self) -> None:
        host = "slurm@'127.0.0.1'"
        sql = f"CREATE USER {host} IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO {host};"
        command = ["mariadb", "--no-defaults", f"--socket={self._socket}", "--user=root"]
        subprocess.run(
            command,
            input=sql.replace("@'127.0.0.1'", "@'localhost'") + sql,
            text=True,
            env={"PATH": PATH},
            check=True,
            timeout=SECONDS,
        )

    def _ask(self, *words: str) -> str:
        """Ask the accounting; gives ``ok`` where it answers."""
        ran = subprocess.run(
            ["sacctmgr", "--immediate", *words],
            env={"PATH": PATH, "SLURM_CONF": str(self.conf)},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        time.sleep(0.1 if ran.returncode else 0)
        return "" if ran.returncode else "ok"

"""A Slurm cluster of the tests' own: munge, controller and one node on loopback ports."""

import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "setpriv")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
SECONDS = 30.0
NODE = "node1"
CONF_VARIABLE = "SLURM_TESTS_CONF"  # tells processes that tests start where slurm.conf is
# Two partitions of which one preempts the other, one that gives no time, devices that are none.
CONF = """
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerNode=16
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,bf_interval=1,preempt_youngest_first
KillWait=2
CompleteWait=0
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=32 RealMemory=4096 Gres=gpu:2
PartitionName=main Nodes={node} Default=YES PriorityTier=1 MaxTime=INFINITE State=UP
PartitionName=first Nodes={node} PriorityTier=9 MaxTime=INFINITE State=UP
PartitionName=short Nodes={node} PriorityTier=1 MaxTime=1 State=UP
"""
GRES = "NodeName={node} Name=gpu File=/dev/null\nNodeName={node} Name=gpu File=/dev/zero\n"


@dataclass
class Cluster:
    """``folder`` holds everything; ``conf`` is its slurm.conf."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def conf(self) -> Path:
        return self.folder / "slurm.conf"

    def make(self) -> None:
        """Write its configuration."""
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        for name in ("controller", "node"):
            (self.folder / name).mkdir()
        fields = {
            "host": socket.gethostname().partition(".")[0],
            "user": getpass.getuser(),
            "folder": self.folder,
            "node": NODE,
            "controller_port": free_port(),
            "node_port": free_port(),
        }
        self.conf.write_text(CONF.format(**fields))
        (self.folder / "gres.conf").write_text(GRES.format(**fields))

    def start(self) -> None:
        """Start what does not run, and wait until the node takes jobs."""
        for name in self.commands():
            if name not in self.processes:
                self.start_one(name)
        self.until_ready()

    def commands(self) -> dict[str, list[str]]:
        """Give the arguments of its daemons, in the order in which they are started."""
        return {
            "munged": [
                "--force",
                "--foreground",
                f"--key-file={self.folder}/munge.key",
                f"--socket={self.folder}/munge.socket",
                f"--pid-file={self.folder}/munged.pid",
                f"--log-file={self.folder}/munged.log",
                f"--seed-file={self.folder}/munge.seed",
            ],
            "slurmctld": ["-D", "-f", str(self.conf)],
            "slurmd": ["-D", "-f", str(self.conf), "-N", NODE],
        }

    def start_one(self, name: str, *more: str) -> None:
        """Start one of the daemons; none outlives the tests' process."""
        with (self.folder / f"{name}.out").open("ab") as output:
            self.processes[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", name, *self.commands()[name], *more],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={"PATH": PATH, "SLURM_CONF": str(self.conf)},
                start_new_session=True,
            )
        if name == "munged":
            self.until((self.folder / "munge.socket").exists, "munged")

    def stop_one(self, name: str) -> None:
        """Stop one of the daemons, for sure."""
        process = self.processes.pop(name)
        process.terminate()
        try:
            process.wait(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def until_ready(self) -> None:
        """Wait until the node takes jobs."""
        self.until(lambda: self.run("sinfo", "-h", "-o", "%t", check=False) == "idle", "slurmd")

    def stop(self) -> None:
        """End all jobs and all daemons."""
        if "slurmctld" in self.processes:
            user = f"--user={os.getuid()}"
            self.run("scancel", user, check=False)
            self.until(lambda: not self.run("squeue", "-h", user, check=False), "scancel")
        for name in reversed(self.commands()):
            if name in self.processes:
                self.stop_one(name)

    def run(self, *command: str, check: bool = True, given: str | None = None) -> str:
        """Run one of Slurm's programs, and give what it prints."""
        ran = subprocess.run(
            command,
            input=given,
            env={"PATH": PATH, "SLURM_CONF": str(self.conf)},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert not check or ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition, and say on failure what the daemons said."""
        deadline = time.monotonic() + SECONDS
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come so far:\n{self._words()}"
            time.sleep(0.05)

    def _words(self) -> str:
        outputs = sorted(self.folder.glob("*.out"))
        return "\n".join(f"{path.name}: {path.read_text()[-1500:]}" for path in outputs)


def require(*programs: str) -> None:
    """Skip the test where one of the programs is not installed."""
    if missing := [name for name in programs if shutil.which(name, path=PATH) is None]:
        pytest.skip(f"no Slurm: {', '.join(missing)} missing (the README names Debian's packages)")


@contextmanager
def running(make: Callable[[Path], Cluster] = Cluster) -> Iterator[Cluster]:
    """Run a cluster; a test that asks for one is skipped where Slurm is not installed."""
    require(*PROGRAMS)
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    cluster = make(folder)
    try:
        cluster.make()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port

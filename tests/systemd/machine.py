"""A real systemd as the first process of namespaces of its own, with the units of ``deploy/``."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "systemd"
SYSTEMD = Path("/lib/systemd/systemd")
# What the units are ordered by. Those of systemd's own package would boot a whole machine.
TARGETS = ("booted", "basic", "sysinit", "network-online", "multi-user", "shutdown", "sockets")
BOOT_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Machine:
    """``pid`` is systemd's, seen from outside; ``log`` is the unit's; ``process`` holds it all."""

    pid: int
    log: Path
    process: subprocess.Popen[bytes]

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command inside, and give what it prints."""
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--cgroup", *command]
        done = subprocess.run(inside, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0 or not check, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", *arguments)

    def show(self, unit: str, name: str) -> str:
        """Give one of a unit's properties."""
        return self.systemctl("show", "--value", "--property", name, unit).strip()

    def wait(self, unit: str, name: str, *values: str, seconds: float = 60) -> str:
        """Wait until a property has one of some values, and give it."""
        deadline = time.monotonic() + seconds
        while (value := self.show(unit, name)) not in values:
            assert time.monotonic() < deadline, (
                f"{name} is {value}:\n{self.log.read_text()[-4000:]}"
            )
            time.sleep(0.1)  # systemctl tells of changes over D-Bus alone, which does not run here
        return value


def why_not() -> str | None:
    """Tell what keeps this machine from booting a systemd; None where nothing does."""
    if os.geteuid() != 0:
        return "booting a systemd needs root"
    for program in (str(SYSTEMD), "unshare", "nsenter", "systemctl"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    if _cgroups() is None:
        return "there is no cgroup2 file system here"
    return None


@contextmanager
def machine(folder: Path, settings: str, drop_in: Mapping[str, str]) -> Iterator[Machine]:
    """Boot, with ``settings`` as ``/etc/runnerd/runnerd.toml``; everything inside dies at the end.

    ``drop_in`` are settings of the service's ``[Service]`` besides those of the unit's own file.
    """
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    log = _lay_out(folder, settings, drop_in)
    cgroup = _make_cgroup()
    # The shell goes into the cgroup first: it is the root of what systemd sees.
    joined = ["/bin/sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(cgroup)]
    apart = ["unshare", "--pid", "--mount", "--cgroup", "--uts", "--ipc", "--fork", "--kill-child"]
    boot = ["--mount-proc", "/bin/sh", str(Path(__file__).parent / "boot.sh"), str(folder)]
    with (folder / "boot.log").open("wb") as words:
        process = subprocess.Popen(
            [*joined, *apart, *boot, sys.base_prefix, sys.prefix, str(ROOT)],
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _booted(process, folder, log)
    finally:
        (cgroup / "cgroup.kill").write_text("1")
        process.wait(timeout=30)
        _remove(cgroup)


def _lay_out(folder: Path, settings: str, drop_in: Mapping[str, str]) -> Path:
    units = folder / "units"
    units.mkdir(parents=True)
    folder.chmod(0o755)
    log = folder / "runnerd.log"
    log.touch()
    for target in TARGETS:
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    for unit in UNITS.iterdir():
        shutil.copy(unit, units)
    lines = {"StandardOutput": f"append:{log}", "StandardError": f"append:{log}", **drop_in}
    written = "".join(f"{name}={value}\n" for name, value in lines.items())
    (units / "runnerd.service.d").mkdir()
    (units / "runnerd.service.d" / "test.conf").write_text(f"[Service]\n{written}")
    (folder / "runnerd.toml").write_text(settings)
    return log


def _booted(process: subprocess.Popen[bytes], folder: Path, log: Path) -> Machine:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + BOOT_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if first := children.read_text().split():
            booted = Machine(int(first[0]), log, process)
            state = booted.run("systemctl", "is-active", "booted.target", check=False)
            if state.strip() == "active":
                return booted
        time.sleep(0.1)  # as in Machine.wait
    words = (folder / "boot.log").read_text()[-2000:]
    raise AssertionError(f"systemd did not boot ({process.poll()}):\n{words}")


def _cgroups() -> Path | None:
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(where)
    return None


def _make_cgroup() -> Path:
    root = _cgroups()
    assert root is not None
    cgroup = root / f"runnerd-test-{os.getpid()}"
    cgroup.mkdir()
    return cgroup


def _remove(cgroup: Path) -> None:
    deadline = time.monotonic() + 30
    while "populated 1" in (cgroup / "cgroup.events").read_text():
        assert time.monotonic() < deadline, "what was killed does not end"
        time.sleep(0.05)
    for each, _, _ in os.walk(cgroup, topdown=False):
        Path(each).rmdir()

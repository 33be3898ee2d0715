"""Runs beside a script: builds its environment, runs it, enforces its limits, records its end.

Commands::

    runner.py run FOLDER             run the attempt in FOLDER, in the foreground
    runner.py launch FOLDER LOCK_FD  the same, detached; prints {"pid": ...} once it is on its way
    runner.py build PLAN.json        build an environment; prints {"folder", "built", "seconds"}
    runner.py sweep ATTEMPT_ID       kill what a runner that was killed has left of its attempt
    runner.py check                  find out whether this machine can do all of it

FOLDER holds ``request.json`` and ``work/`` with the script. The runner adds, in this order:
``lock`` (flocked while the runner lives), ``runner.json``, ``exit.json`` (blank until the end),
``building`` where there is something to build, ``started.json`` and ``output.log``. A stop is
asked for by ``stop.json`` and announced by SIGTERM.
"""

from __future__ import annotations

import ctypes
import fcntl
import glob
import json
import os
import shutil
import signal
import sys
import time

TYPE_CHECKING = False  # typing's own would cost an import
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    Record = dict[str, Any]
    Tick = Callable[[int | None], str | None]

POLL_SECONDS = 0.25
LOCK_POLL_SECONDS = 0.05
SWEEP_SECONDS = 30.0
EXIT_RECORD_BYTES = 4096
DETAIL_BYTES = 3000
REASON_LINES = 30
PR_SET_CHILD_SUBREAPER = 36
WAKING = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
ENDING = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"
LIBC = ctypes.CDLL(None, use_errno=True)


class BuildFailed(Exception):
    """The environment can't be built; the text is the builder's own reason."""


class Stopped(Exception):
    """Somebody asked for the end before the script started; the text is the cause."""


# Files


def read_json(path: str) -> Record | None:
    """Give the object in the file, or None where it is not there or not whole."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):  # whatever a script has put in its place
        return None
    return value if isinstance(value, dict) else None


def write_durably(path: str, value: Record) -> None:
    """Write a JSON file so that after a power cut it is either whole or not there."""
    half = path + ".half"
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(json.dumps(value).encode())
        file.flush()
        os.fsync(file.fileno())
    os.rename(half, path)
    sync_folder(os.path.dirname(path))


def sync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file_system(folder: str) -> None:
    """Make everything on the folder's file system durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        LIBC.syncfs(fd)
    finally:
        os.close(fd)


def write_exit_record(path: str, record: Record) -> None:
    """Fill the preallocated record in place: that works on a full disk too."""
    data = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, data.ljust(EXIT_RECORD_BYTES), 0)
        os.fsync(fd)
    finally:
        os.close(fd)


def preallocate_exit_record(path: str) -> None:
    """Reserve the room of the exit record by writing blanks."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(b" " * EXIT_RECORD_BYTES)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(os.path.dirname(path))


# Processes


def start_time(pid: int) -> int:
    """Give the start of a process in clock ticks since boot: with the pid it is unique."""
    return int(stat_fields(pid)[19])


def stat_fields(pid: int) -> list[bytes]:
    """Give the fields of /proc/PID/stat from the state on (the third by its manual)."""
    with open("/proc/%d/stat" % pid, "rb") as file:
        return file.read().rpartition(b")")[2].split()


def boot_id() -> str:
    """Give the identity of this boot of the machine."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def identity() -> Record:
    """Describe this process so that nobody can take another for it."""
    pid = os.getpid()
    return {"pid": pid, "start_time": start_time(pid), "boot_id": boot_id()}


def descendants() -> list[int]:
    """Give the pids of all living processes below this one."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            fields = stat_fields(int(name))
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != b"Z":
            children.setdefault(int(fields[1]), []).append(int(name))
    found = list(children.get(os.getpid(), ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def send(pids: Iterable[int], number: int) -> None:
    """Signal processes, but for those that are gone by now or belong to another user."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def prepare_process() -> None:
    """Become the one to whom every orphan below falls, waited for and woken without handlers."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, WAKING)
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:
            continue


class Tree:
    """A child process with everything below it. ``status`` is what waitpid gave for the child."""

    def __init__(
        self, argv: list[str], variables: dict[str, str], folder: str, output: int
    ) -> None:
        os.chdir(folder)
        null = os.open(os.devnull, os.O_RDONLY)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0)]
        actions += [(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)]
        encoded = {key.encode(): value.encode() for key, value in variables.items()}
        try:
            self.pid = os.posix_spawn(
                argv[0],
                argv,
                encoded,
                file_actions=actions,
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        finally:
            os.close(null)
        self.status: int | None = None
        self.left = True

    def reap(self) -> None:
        """Collect whoever has ended; ``left`` tells whether any process remains."""
        while self.left:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self.left = False
                return
            if pid == 0:
                return
            if pid == self.pid:
                self.status = status

    def wait(self, tick: Tick, grace: float) -> str | None:
        """Wait for the child and end the rest of its tree. Give the cause ``tick`` had, or None.

        ``tick(signal or None)`` is called after every wake-up, and a cause ends the tree.
        """
        cause = None
        self.reap()
        while self.left and self.status is None and cause is None:
            number = sleep(POLL_SECONDS)
            self.reap()
            if self.status is None:
                cause = tick(number)
        self.end(tick, grace)
        return cause

    def end(self, tick: Tick, grace: float) -> None:
        """End every process of the tree: SIGTERM, ``grace`` seconds, SIGKILL until none is left."""
        if self.left:
            told = descendants()
            send(told, signal.SIGTERM)
            send(told, signal.SIGCONT)
        self.drain(tick, time.monotonic() + grace)
        deadline = time.monotonic() + SWEEP_SECONDS
        while self.left and time.monotonic() < deadline:
            send(frozen_descendants(), signal.SIGKILL)
            self.drain(tick, time.monotonic() + POLL_SECONDS)

    def drain(self, tick: Tick, deadline: float) -> None:
        """Collect the ended until none is left or the time is up."""
        self.reap()
        while self.left and time.monotonic() < deadline:
            number = sleep(min(POLL_SECONDS, deadline - time.monotonic()))
            self.reap()
            tick(number)


def frozen_descendants() -> set[int]:
    """Stop all descendants, so that none of them can fork away, and give their pids."""
    frozen: set[int] = set()
    for _ in range(20):
        fresh = set(descendants()) - frozen
        if not fresh:
            break
        send(fresh, signal.SIGSTOP)
        frozen |= fresh
    return frozen


def marked_processes(mark: bytes) -> list[int]:
    """Give the pids of all processes that were started with this variable, written NAME=value."""
    found = []
    for name in os.listdir("/proc"):
        try:
            with open("/proc/%s/environ" % name, "rb") as file:
                if name.isdigit() and mark in file.read().split(b"\0"):
                    found.append(int(name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def sleep(seconds: float) -> int | None:
    """Sleep until the time is up or a signal arrives; give its number or None."""
    information = signal.sigtimedwait(WAKING, max(0.0, seconds))
    return information.si_signo if information else None


def oom_kills() -> int:
    """Count the kills for want of memory: those of the own cgroup where it tells, else all."""
    for path in [*cgroup_files(), "/proc/vmstat"]:
        try:
            with open(path, encoding="ascii") as file:
                for line in file:
                    name, _, value = line.partition(" ")
                    if name == "oom_kill":
                        return int(value)
        except OSError:
            continue
    return 0


def cgroup_files() -> Iterator[str]:
    """Give the files in which the own cgroup counts its kills, of both versions of cgroups.

    In a container the path may be that of the host, and its own cgroup lies at the root.
    """
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            if controllers == "":
                yield "/sys/fs/cgroup" + path.rstrip("/") + "/memory.events"
                yield "/sys/fs/cgroup/memory.events"
            elif "memory" in controllers.split(","):
                yield "/sys/fs/cgroup/memory" + path.rstrip("/") + "/memory.oom_control"
                yield "/sys/fs/cgroup/memory/memory.oom_control"


# Environments


def provide_environment(
    plan: Record, tick: Tick, announce: Callable[[], None]
) -> tuple[str, int, bool]:
    """Give (folder, open lock, built): the lock is held shared, for as long as it stays open.

    ``announce()`` is called once where there is something to wait for.
    """
    folder = os.path.join(plan["root"], plan["key"])
    locks = os.path.join(plan["root"], "locks")
    os.makedirs(locks, exist_ok=True)
    lock = os.open(os.path.join(locks, plan["key"] + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    built = False
    if not os.path.isdir(folder):
        announce()
    while True:
        take_lock(lock, fcntl.LOCK_SH, tick)
        if os.path.isdir(folder):
            os.utime(lock)
            return folder, lock, built
        fcntl.flock(lock, fcntl.LOCK_UN)
        take_lock(lock, fcntl.LOCK_EX, tick)
        if not os.path.isdir(folder):
            build_environment(plan, folder, tick)
            built = True


def take_lock(lock: int, kind: int, tick: Tick) -> None:
    """Wait for the lock; a stop asked for meanwhile raises ``Stopped``."""
    while not try_lock(lock, kind):
        cause = tick(sleep(LOCK_POLL_SECONDS))
        if cause:
            raise Stopped(cause)


def try_lock(lock: int, kind: int) -> bool:
    """Take the lock if it is free for that."""
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def build_environment(plan: Record, folder: str, tick: Tick) -> None:
    """Build beside ``folder``, then rename. The caller holds the key's lock alone."""
    temporary = os.path.join(plan["root"], ".building-" + plan["key"])
    shutil.rmtree(temporary, ignore_errors=True)
    os.mkdir(temporary)
    try:
        build = Build(plan, temporary, tick)
        build.install()
        if build.compile_new_packages():
            build.install()
        with open(os.path.join(build.folder, "runnerd.json"), "w", encoding="utf-8") as file:
            json.dump({"key": plan["key"], "python_version": plan["python_version"]}, file)
        sync_file_system(temporary)
        os.rename(build.folder, folder)
        sync_folder(plan["root"])
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


class Build:
    """One build of a plan in a temporary folder."""

    def __init__(self, plan: Record, temporary: str, tick: Tick) -> None:
        self.plan = plan
        self.temporary = temporary
        self.folder = os.path.join(temporary, "environment")
        self.lock = os.path.join(temporary, "lock.txt")
        self.deadline = time.monotonic() + plan["build_timeout"]
        self.tick = tick
        self.python = plan["python"] or own_python(plan["python_version"])
        with open(self.lock, "w", encoding="utf-8") as file:
            file.write(plan["lock"])

    def install(self) -> None:
        """Make the environment anew and install the lock: from the cache, or else from outside."""
        plan = self.plan
        shutil.rmtree(self.folder, ignore_errors=True)
        common = ["--cache-dir", plan["cache"], "--no-config", "--no-progress"]
        venv = ["venv", "--relocatable", "--no-project", "--python", self.python, self.folder]
        self.succeed([plan["uv"], *venv, *common])
        target = ["--python", os.path.join(self.folder, "bin", "python"), "--no-deps"]
        target += ["--link-mode", "hardlink", "-r", self.lock]
        install = [plan["uv"], "pip", "install", *target, *common, *plan["options"]]
        if self.command([*install, "--offline"])[0] != 0:
            self.succeed(install)

    def succeed(self, argv: list[str]) -> None:
        """Run a command of the build; raises ``BuildFailed`` with its last words."""
        status, words = self.command(argv)
        if status != 0:
            raise BuildFailed(words or "%s ended with status %s" % (argv[0], status))

    def command(self, argv: list[str]) -> tuple[int | None, str]:
        """Run a command, give (status, the last lines of its output)."""
        log = os.path.join(self.temporary, "output")
        output = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            variables = {"PATH": DEFAULT_PATH, **self.plan["variables"]}
            tree = Tree(argv, variables, self.temporary, output)
            cause = tree.wait(self.check, 2.0)
        finally:
            os.close(output)
        if cause == "build_timeout":
            limit = self.plan["build_timeout"]
            raise BuildFailed("the environment was not built within %g seconds" % limit)
        if cause:
            raise Stopped(cause)
        return tree.status, last_lines(log)

    def check(self, number: int | None) -> str | None:
        """Give the reason to stop building, if there is one."""
        cause = self.tick(number)
        return cause or ("build_timeout" if time.monotonic() > self.deadline else None)

    def compile_new_packages(self) -> bool:
        """Compile the cache's unpacked wheels that this environment uses, each once for all.

        Environments built afterwards link the bytecode with the rest. It is never checked against
        the source's time, which a copy across file systems would change. Gives whether there were
        any.
        """
        tag = "python" + ".".join(self.plan["python_version"].split(".")[:2])
        markers = os.path.join(os.path.dirname(self.plan["cache"]), "compiled", tag)
        os.makedirs(markers, exist_ok=True)
        guard = os.open(os.path.join(markers, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            take_lock(guard, fcntl.LOCK_EX, self.check)
            new = [path for path in self.unpacked_wheels() if not marked(markers, path)]
            if new:
                options = ["-q", "-j0", "--invalidation-mode", "unchecked-hash"]
                options += ["-x", "/archive-v[0-9]+/.*/tests?/"]
                self.command([self.python, "-I", "-m", "compileall", *options, *new])
            for path in new:
                make_read_only(path)
                open(os.path.join(markers, os.path.basename(path)), "w").close()
        finally:
            os.close(guard)
        return bool(new)

    def unpacked_wheels(self) -> list[str]:
        """Give the folders in uv's cache whose files this environment links."""
        installed = "/lib/python*/site-packages/*.dist-info/METADATA"
        linked = {os.stat(path).st_ino for path in glob.glob(glob.escape(self.folder) + installed)}
        packages = glob.glob(glob.escape(self.plan["cache"]) + "/archive-v*/*/*.dist-info/METADATA")
        return [
            os.path.dirname(os.path.dirname(path))
            for path in packages
            if os.stat(path).st_ino in linked
        ]


def own_python(wanted: str) -> str:
    """Give the interpreter that runs this file, where what is locked was resolved for its kind."""
    own, kind = "%d.%d" % sys.version_info[:2], ".".join(wanted.split(".")[:2])
    if own != kind:
        raise BuildFailed(
            "the Python here is %s, and the packages were resolved for %s: use an image with "
            "Python %s, or set environments.python" % (own, wanted, kind)
        )
    return sys.executable


def make_read_only(wheel: str) -> None:
    """Keep scripts from writing into what every environment links (root can't be kept from it).

    What uv itself rewrites when it installs stays writable.
    """
    for folder, folders, files in os.walk(wheel):
        folders[:] = [name for name in folders if not name.endswith((".dist-info", ".data"))]
        for name in files:
            path = os.path.join(folder, name)
            os.chmod(path, os.stat(path).st_mode & 0o7555)


def marked(markers: str, path: str) -> bool:
    """Tell whether an unpacked wheel has been compiled."""
    return os.path.exists(os.path.join(markers, os.path.basename(path)))


def last_lines(path: str) -> str:
    """Give the end of a builder's output, without blank lines."""
    with open(path, encoding="utf-8", errors="replace") as file:
        lines = [line.rstrip() for line in file]
    return "\n".join([line for line in lines if line][-REASON_LINES:])


# One attempt


class Attempt:
    """The attempt whose request lies in ``folder``."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.abspath(folder)
        request = read_json(self.path("request.json"))
        if request is None:
            raise FileNotFoundError(self.path("request.json"))
        self.request = request
        self.output = -1
        self.deadline = 0.0
        self.started_at: float | None = None

    def path(self, name: str) -> str:
        """Give the full path of a file of the attempt."""
        return os.path.join(self.folder, name)

    def run(self) -> None:
        """Run the attempt to its end and record it."""
        preallocate_exit_record(self.path("exit.json"))
        try:
            record = self.run_script()
        except BuildFailed as error:
            record = {"cause": "build_failed", "detail": str(error)}
        except Stopped as stop:
            record = {"cause": str(stop)}
        except Exception as error:
            sys.excepthook(*sys.exc_info())
            reason = "the script could not be started: %s: %s" % (type(error).__name__, error)
            record = {"cause": "launch_failed", "detail": reason}
        detail = record.get("detail", "").encode("utf-8", "replace")[-DETAIL_BYTES:]
        record["detail"] = detail.decode("utf-8", "ignore")
        record.setdefault("script_started_at", self.started_at)
        write_exit_record(self.path("exit.json"), {**record, "ended_at": time.time()})

    def run_script(self) -> Record:
        """Get the environment, run the script in it and give the record of its end."""
        request = self.request
        cause = self.stop_cause(None)
        if cause:
            raise Stopped(cause)
        environment, lock, _ = provide_environment(
            request["environment"], self.stop_cause, self.announce_building
        )
        try:
            kills = oom_kills()
            tree = self.start(environment)
            try:
                cause = tree.wait(self.check, request["grace_seconds"])
            except BaseException:
                send(frozen_descendants(), signal.SIGKILL)
                raise
            self.over_log_limit()
            record = record_of(tree, cause)
            killed = cause is None and record.get("signal") == signal.SIGKILL
            if killed and oom_kills() > kills:
                record["cause"] = "out_of_memory"
            return record
        finally:
            os.close(lock)

    def announce_building(self) -> None:
        """Tell watchers that there is an environment to wait for."""
        write_durably(self.path("building"), {"at": time.time()})

    def start(self, environment: str) -> Tree:
        """Start the script, after the fact is durable that it is about to."""
        request = self.request
        binaries = os.path.join(environment, "bin")
        variables = dict(request["variables"])
        told = request.get("engine_variables", ())
        variables.update((name, os.environ[name]) for name in told if name in os.environ)
        variables["PATH"] = binaries + ":" + variables.get("PATH", DEFAULT_PATH)
        variables["VIRTUAL_ENV"] = environment
        variables["RUNNERD_ATTEMPT_ID"] = request["attempt_id"]
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self.output = os.open(self.path("output.log"), flags, 0o600)
        started_at = time.time()
        write_durably(self.path("started.json"), {"script_started_at": started_at, **identity()})
        argv = [os.path.join(binaries, "python"), request["script_name"]]
        tree = Tree(argv, variables, self.path("work"), self.output)
        self.started_at = started_at
        self.deadline = time.monotonic() + request["timeout"]
        return tree

    def check(self, number: int | None) -> str | None:
        """Give the reason to stop the script, if there is one."""
        if time.monotonic() > self.deadline:
            return "timeout"
        return "log_limit" if self.over_log_limit() else self.stop_cause(number)

    def over_log_limit(self) -> bool:
        """Keep the output's first bytes up to its limit; tell whether there were more."""
        limit: int = self.request["log_limit"]
        over = os.fstat(self.output).st_size > limit
        if over:
            os.ftruncate(self.output, limit)
        return over

    def stop_cause(self, _number: int | None) -> str | None:
        """Give the cause for which somebody asked to stop. A signal is only a wake-up."""
        stop = read_json(self.path("stop.json"))
        return str(stop.get("cause", "cancelled")) if stop is not None else None


def record_of(tree: Tree, cause: str | None) -> Record:
    """Put the end of a script's tree into the words of an exit record."""
    if tree.status is None:
        return {"cause": cause or "lost", "detail": "the end of the script was not seen"}
    if os.WIFSIGNALED(tree.status):
        number = os.WTERMSIG(tree.status)
        record = {"cause": cause or "signalled", "exit_code": None, "signal": number}
    else:
        record = {"cause": cause or "exited", "exit_code": os.WEXITSTATUS(tree.status)}
        record["signal"] = None
    if tree.left:
        record["detail"] = "some processes of the script could not be ended"
    return record


# Commands


def run(folder: str) -> None:
    """Run an attempt in this process. Its lock is taken here unless it was handed down."""
    attempt = Attempt(folder)
    prepare_process()
    write_durably(attempt.path("runner.json"), identity())
    attempt.run()


def run_in_foreground(folder: str) -> None:
    """Run an attempt under a lock of its own."""
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    run(folder)


def launch(folder: str, lock: str) -> None:
    """Run an attempt in a process that belongs to nobody, holding the lock it was handed."""
    log = os.open(os.path.join(folder, "runner.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    fcntl.flock(int(lock), fcntl.LOCK_EX | fcntl.LOCK_NB)
    pid = os.fork()
    if pid:
        print(json.dumps({"pid": pid}), flush=True)
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number, fd in ((0, null), (1, null), (2, log)):
        os.dup2(fd, number)
    run(folder)


def build(plan_file: str) -> None:
    """Build the environment of a plan, or find it built."""
    began = time.monotonic()
    prepare_process()
    plan = read_json(plan_file)
    if plan is None:
        raise BuildFailed("the plan %s can't be read" % plan_file)
    folder, _, built = provide_environment(
        plan, lambda number: "cancelled" if number in ENDING else None, lambda: None
    )
    seconds = round(time.monotonic() - began, 3)
    print(json.dumps({"folder": folder, "built": built, "seconds": seconds}))


def sweep(attempt_id: str) -> None:
    """Kill whatever bears an attempt's mark, until nothing does."""
    mark = ("RUNNERD_ATTEMPT_ID=" + attempt_id).encode()
    deadline = time.monotonic() + SWEEP_SECONDS
    while True:
        left = marked_processes(mark)
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimeoutError("some processes of the script could not be killed: %s" % left)
        send(left, signal.SIGKILL)
        time.sleep(LOCK_POLL_SECONDS)


def check() -> None:
    """Use what the other commands need of the machine, and fail where it is not there."""
    prepare_process()
    descendants()
    print(json.dumps(identity()))


def main(argv: list[str]) -> int:
    """Carry out a command; gives the exit status."""
    commands: dict[tuple[str, int], Callable[..., None]] = {
        ("run", 1): run_in_foreground,
        ("launch", 2): launch,
        ("build", 1): build,
        ("sweep", 1): sweep,
        ("check", 0): check,
    }
    command = commands.get((argv[0], len(argv) - 1)) if argv else None
    if command is None:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        command(*argv[1:])
    except BuildFailed as error:
        print(error, file=sys.stderr)
        return 3
    except Stopped:
        print("the build was stopped", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

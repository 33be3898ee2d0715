"""Runs an attempt in a container from which nothing but its output comes back.

Command::

    pod.py ATTEMPT.z FOLDER CACHE STOP MESSAGE

ATTEMPT.z is the zlib-packed attempt: the ``request`` as the runner takes it, the ``script``, and
the ``uv`` to install where the image has none. FOLDER is an empty folder to run it in, CACHE one
for environments that may be shared between containers, STOP a file into which somebody writes the
cause to stop for, MESSAGE the file for the container's last words to the engine.

Everything is told on standard output, and read again from there: lines that are plain text as they
are, so that people can read them; other output as ``\\x1eb`` and base64, without its line's end;
and records as ``\\x1ej`` and JSON. A record ``{"at": N}`` says that the byte N of the output comes
next, ``{"building": TIME}`` and ``{"started": TIME}`` what the runner does, and ``{"end": RECORD,
"size": N}``, always the last, how it ended. That RECORD goes into MESSAGE too.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import re
import shutil
import signal
import sys
import time
import zlib

TYPE_CHECKING = False  # typing's own would cost an import
if TYPE_CHECKING:
    from typing import Any

    from runnerd.runner import runner

    Record = dict[str, Any]
else:
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import runner  # it travels beside this file

PAUSE_SECONDS = 0.1
# What a script printed without the end of its line is shown after so long.
HALF_LINE_SECONDS = 0.5
PIECE_BYTES = 64 * 1024
# Container engines split lines of 16 KiB.
LINE_BYTES = 8 * 1024
MARK_BYTES = 256 * 1024
MESSAGE_BYTES = 4096
NOT_PLAIN = re.compile(rb"[\x00\x1e]")
INSTALLER_WORDS = "uv, which builds environments, is not in this image and could not be installed"


class Refused(Exception):
    """The attempt can't be run in this container; holds the record of its end."""

    def __init__(self, cause: str, detail: str) -> None:
        super().__init__(detail)
        self.record: Record = {"cause": cause, "detail": detail}


# Telling


class Teller:
    """Writes the output of the script in ``source`` to ``fd``, up to ``limit`` bytes of it."""

    def __init__(self, fd: int, source: str, limit: int) -> None:
        self.fd = fd
        self.source = source
        self.limit = limit
        self.file: int | None = None
        self.position = 0
        self.marked = 0
        self.rest = b""
        self.rest_since = 0.0

    def record(self, record: Record) -> None:
        """Tell a record."""
        self.write(b"\x1ej" + json.dumps(record).encode() + b"\n")

    def copy(self) -> bool:
        """Tell a piece of what the script has written; gives whether there was any."""
        if self.file is None:
            try:
                self.file = os.open(self.source, os.O_RDONLY)
            except FileNotFoundError:
                return False
        start = self.position + len(self.rest)
        piece = os.pread(self.file, min(PIECE_BYTES, self.limit - start), start)
        if piece:
            self.tell(piece)
        elif self.rest and time.monotonic() - self.rest_since > HALF_LINE_SECONDS:
            self.flush()
        return bool(piece)

    def tell(self, piece: bytes) -> None:
        """Tell whole lines, and keep the rest until its line is whole."""
        lines, newline, rest = (self.rest + piece).rpartition(b"\n")
        self.rest, self.rest_since = rest, time.monotonic()
        if newline:
            told = b"".join(framed(line) for line in lines.split(b"\n"))
            self.advance(told, len(lines) + 1)
        while len(self.rest) > LINE_BYTES:
            self.flush(LINE_BYTES)

    def flush(self, size: int = PIECE_BYTES) -> None:
        """Tell what is not a whole line yet."""
        part, self.rest = self.rest[:size], self.rest[size:]
        if part:
            self.advance(packed(part), len(part))

    def advance(self, told: bytes, size: int) -> None:
        """Write what was framed, and a mark now and then."""
        self.write(told)
        self.position += size
        if self.position - self.marked >= MARK_BYTES:
            self.marked = self.position
            self.record({"at": self.position})

    def write(self, data: bytes) -> None:
        """Write all of it, however long the reader takes."""
        while data:
            data = data[os.write(self.fd, data) :]


def framed(line: bytes) -> bytes:
    """Frame a line whose end was cut off."""
    if len(line) <= LINE_BYTES and not NOT_PLAIN.search(line) and is_text(line):
        return line + b"\n"
    whole = line + b"\n"
    return b"".join(packed(whole[at : at + LINE_BYTES]) for at in range(0, len(whole), LINE_BYTES))


def packed(part: bytes) -> bytes:
    """Frame bytes that are no plain line."""
    return b"\x1eb" + base64.b64encode(part) + b"\n"


def is_text(line: bytes) -> bool:
    """Tell whether it is UTF-8: engines change what is not."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


# The attempt


class Attempt:
    """An attempt as it was packed, to be run in ``folder``."""

    def __init__(self, packed_file: str, folder: str, cache: str, stop_file: str) -> None:
        with open(packed_file, "rb") as file:
            given = json.loads(zlib.decompress(file.read()))
        self.request: Record = given["request"]
        self.script: str = given["script"]
        self.uv: str = given["uv"]
        self.folder = folder
        self.cache = cache
        self.stop_file = stop_file
        self.teller = Teller(1, self.path("output.log"), self.request["log_limit"])
        self.told: set[str] = set()
        self.stopping: str | None = None

    def path(self, name: str) -> str:
        """Give the full path of a file of the attempt."""
        return os.path.join(self.folder, name)

    def run(self) -> Record:
        """Run it to its end; gives the record of that."""
        runner.prepare_process()
        self.teller.record({"at": 0, "runnerd": 1})
        try:
            self.prepare()
            kills = runner.oom_kills()
            command = [sys.executable, "-I", "-S", runner.__file__, "run", self.folder]
            _, words = self.attend(command, self.path("runner.log"), signal.SIGTERM)
        except Refused as refused:
            record = refused.record
        else:
            record = runner.read_json(self.path("exit.json")) or unseen(kills, words)
        record = {"ended_at": time.time(), **record}
        while self.teller.copy():
            pass
        self.teller.flush()
        self.teller.record({"end": record, "size": self.teller.position})
        return record

    def prepare(self) -> None:
        """Lay everything out as the runner expects it. Raises ``Refused``."""
        work = self.path("work")
        os.mkdir(work, 0o700)
        script = os.path.join(work, self.request["script_name"])
        with open(script, "w", encoding="utf-8", newline="") as file:
            file.write(self.script)
        self.fit_environment(self.request["environment"])
        runner.write_durably(self.path("request.json"), self.request)

    def fit_environment(self, plan: Record) -> None:
        """Make the plan, which was made on another machine, one of this container."""
        version = platform.python_version()
        if version.split(".")[:2] != plan["python_version"].split(".")[:2]:
            words = "the image has Python %s, and requirements are resolved for %s: " % (
                version,
                plan["python_version"],
            )
            cure = "use an image with that Python, or set environments.python to the image's"
            raise Refused("build_failed", words + cure)
        plan["python"] = os.path.realpath(sys.executable)
        plan["python_version"] = version
        plan["root"] = os.path.join(self.cache, "environments", interpreter_tag())
        plan["cache"] = os.path.join(self.cache, "uv")
        own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        plan["variables"] = {**plan["variables"], **own}
        if not os.path.isdir(os.path.join(plan["root"], plan["key"])):
            plan["uv"] = shutil.which("uv") or beside_python() or self.install_uv(plan)

    def install_uv(self, plan: Record) -> str:
        """Install uv into the cache, from the index that packages come from."""
        folder = os.path.join(self.cache, "tools", self.uv)
        program = os.path.join(folder, "bin", "uv")
        if not os.path.exists(program):
            self.teller.record({"building": time.time()})
            self.told.add("building")
            half = "%s.%s" % (folder, os.urandom(4).hex())
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", half]
            index = plan["variables"].get("UV_DEFAULT_INDEX")
            command += ["--index-url", index] if index else []
            log = self.path("installer.log")
            status, words = self.attend([*command, self.uv], log, signal.SIGKILL)
            if self.stopping:
                raise Refused(self.stopping, "")
            if status != 0:
                raise Refused("build_failed", "%s: %s" % (INSTALLER_WORDS, words))
            try:
                os.rename(half, folder)
            except OSError:  # another container was quicker
                shutil.rmtree(half, ignore_errors=True)
        return program

    def attend(self, argv: list[str], log: str, ending: int) -> tuple[int, str]:
        """Run a command to its end, telling meanwhile; gives its status and last words.

        Where somebody asks to stop it gets the signal ``ending``.
        """
        pid = start(argv, log)
        while True:
            ended, status = os.waitpid(pid, os.WNOHANG)
            more = self.teller.copy()
            self.tell_progress()
            if ended:
                return status, runner.last_lines(log)
            number = runner.sleep(0 if more else PAUSE_SECONDS)
            self.pass_stop_on(pid, number, ending)

    def tell_progress(self) -> None:
        """Tell of each step of the runner once."""
        for name, step, key in (
            ("building", "building", "at"),
            ("started.json", "started", "script_started_at"),
        ):
            if step not in self.told:
                record = runner.read_json(self.path(name))
                if record is not None:
                    self.told.add(step)
                    self.teller.record({step: record[key]})

    def pass_stop_on(self, pid: int, number: int | None, ending: int) -> None:
        """Stop for the cause that somebody gave, or because the container is being ended."""
        if self.stopping:
            return
        cause = stop_cause(self.stop_file) or ("lost" if number in runner.ENDING else None)
        if cause:
            self.stopping = cause
            runner.write_durably(self.path("stop.json"), {"cause": cause})
            os.kill(pid, ending)


def start(argv: list[str], log: str) -> int:
    """Start a command with its output in ``log``; gives its pid.

    Our blocked signals stay blocked in it: the runner waits for them, and none may come too early.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        output = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, fd in ((0, os.open(os.devnull, os.O_RDONLY)), (1, output), (2, output)):
            os.dup2(fd, number)
        os.execv(argv[0], argv)  # noqa: S606
    finally:
        os._exit(127)


def stop_cause(path: str) -> str | None:
    """Give what stands in the stop file, None while that is nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip() or None
    except OSError:
        return None


def interpreter_tag() -> str:
    """Name the interpreter, so that images with different ones can share a cache."""
    path = zlib.crc32(os.path.realpath(sys.executable).encode())
    return "python-%s-%s-%08x" % (platform.python_version(), platform.machine(), path)


def beside_python() -> str | None:
    """Find uv where pip puts the programs of this interpreter."""
    return shutil.which("uv", path=os.path.dirname(sys.executable))


def unseen(kills: int, words: str) -> Record:
    """Describe the end of a runner that left no record but perhaps some last words."""
    if runner.oom_kills() > kills:
        return {"cause": "out_of_memory", "detail": "", "signal": int(signal.SIGKILL)}
    detail = "the runner ended without a record of the script's end"
    return {"cause": "lost", "detail": "%s: %s" % (detail, words) if words else detail}


def leave_message(record: Record, path: str) -> None:
    """Leave the record where the engine keeps it with the container's status."""
    record = dict(record)
    data = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    if len(data) > MESSAGE_BYTES:
        kept = record["detail"].encode("utf-8", "replace")[: MESSAGE_BYTES // 4]
        record["detail"] = kept.decode("utf-8", "ignore")
        data = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError as error:
        print("no termination message: %s" % error, file=sys.stderr)


def main(argv: list[str]) -> int:
    """Run the attempt; gives the script's exit code where it has one."""
    if len(argv) != 5:
        print(__doc__, file=sys.stderr)
        return 2
    record = Attempt(*argv[:4]).run()
    leave_message(record, argv[4])
    code = record.get("exit_code")
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

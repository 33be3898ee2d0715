"""An artifact to S3 and back: through the daemon, and by boto3's own transfer, in turns.

``RUNNERD_BENCH_BYTES`` sets its size, 5 GB where it is not given, ``RUNNERD_BENCH_ROUNDS`` the
rounds, and ``RUNNERD_BENCH_FOLDER`` where it lies: in /dev/shm no disk is measured along.
"""

import hashlib
import http.client
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from benchmarks.numbers import Measurement
from runnerd.testing.daemons import RunningDaemon, running_daemon
from scripts.daemon import Daemon, NotWorking
from tests.s3 import ACCESS_KEY, SECRET_KEY, S3Server, free_port, make_bucket, rclone

BYTES = int(os.environ.get("RUNNERD_BENCH_BYTES", "5_000_000_000"))
WARM_BYTES = 100_000_000
ROUNDS = int(os.environ.get("RUNNERD_BENCH_ROUNDS", "3"))
MIB = 1024 * 1024
SECONDS = 3600.0
SCRATCH = os.environ.get("RUNNERD_BENCH_FOLDER") or str(
    Path(__file__).parents[1] / ".cache" / "benchmarks"
)
# One object for both, so that it lies there once; the plugin's way of naming it is not measured.
ADDRESS = "/api/2.0/mlflow-artifacts/artifacts/1/none/artifacts/large.bin"
DIRECT_KEY = "runnerd/artifacts/1/none/artifacts/large.bin"
Transfer = Callable[[Path], None]


def measure(_: Daemon) -> Measurement:
    """Send and fetch one file by each way, round by round; another daemon stands by."""
    with tempfile.TemporaryDirectory(dir=SCRATCH) as name, _server(Path(name)) as server:
        folder = Path(name)
        bucket = make_bucket(server.url)
        variables = server.daemon_variables(bucket)
        variables["RUNNERD_PLUGINS_MLFLOW_URL"] = "http://127.0.0.1:9"  # nothing is tracked here
        with running_daemon(folder / "data", variables=variables) as daemon:
            return _measured(folder, daemon, server, bucket)


def _measured(folder: Path, daemon: RunningDaemon, server: S3Server, bucket: str) -> Measurement:
    direct = boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )
    sent, fetched = folder / "sent", folder / "fetched"
    ways: dict[str, dict[str, Transfer]] = {
        "up": {
            "daemon": lambda file: _put(daemon, file),
            "boto3": lambda file: direct.upload_file(str(file), bucket, DIRECT_KEY),
        },
        "down": {
            "boto3": lambda file: direct.download_file(bucket, DIRECT_KEY, str(file)),
            "daemon": lambda file: _get(daemon, file),  # last: what it gave is checked
        },
    }

    def forget() -> object:
        return direct.delete_object(Bucket=bucket, Key=DIRECT_KEY)

    with closing(direct):
        _write(sent, WARM_BYTES)
        for ways_there in ways.values():
            for transfer in ways_there.values():
                transfer(sent)
        _write(sent, BYTES)
        digest = _digest(sent)
        process = daemon.process.pid
        up = _compared(ways["up"], sent, process, forget)
        sent.unlink()
        down = _compared(ways["down"], fetched, process, lambda: fetched.unlink(missing_ok=True))
        if _digest(fetched) != digest:
            raise NotWorking("what came back is not what was sent")
    columns = ("daemon, MB/s", "boto3, MB/s", "daemon / boto3", "more memory in the daemon, MiB")
    title = f"{BYTES / 1e9:g} GB to S3 and back, medians of {ROUNDS} rounds in turns"
    return Measurement(title, columns, {"up": up, "down": down})


def _compared(
    ways: dict[str, Transfer], file: Path, daemon: int, clear: Callable[[], object]
) -> tuple[float, float, float, float]:
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    before = _resident(daemon, "VmRSS")
    Path(f"/proc/{daemon}/clear_refs").write_text("5")  # the peak is counted from here
    for _ in range(ROUNDS):
        for name, transfer in ways.items():
            clear()
            begun = time.perf_counter()
            transfer(file)
            speeds[name].append(BYTES / 1e6 / (time.perf_counter() - begun))
    more = _resident(daemon, "VmHWM") - before
    through, alone = statistics.median(speeds["daemon"]), statistics.median(speeds["boto3"])
    return through, alone, through / alone, more / MIB


def _put(daemon: RunningDaemon, file: Path) -> None:
    with closing(_connection(daemon)) as connection, file.open("rb") as body:
        connection.request("PUT", ADDRESS, body, {"Content-Length": str(file.stat().st_size)})
        _require_ok(connection.getresponse())


def _get(daemon: RunningDaemon, file: Path) -> None:
    with closing(_connection(daemon)) as connection, file.open("wb") as body:
        connection.request("GET", ADDRESS)
        answer = _require_ok(connection.getresponse())
        while piece := answer.read(MIB):
            body.write(piece)


def _connection(daemon: RunningDaemon) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(daemon.url).netloc, timeout=SECONDS, blocksize=MIB)


def _require_ok(answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
    if answer.status != 200:
        raise NotWorking(f"the daemon gave {answer.status}: {answer.read(500)!r}")
    return answer


def _write(file: Path, size: int) -> None:
    with file.open("wb") as body:
        for place in range(0, size, MIB):
            body.write(os.urandom(min(MIB, size - place)))


def _digest(file: Path) -> bytes:
    with file.open("rb") as body:
        return hashlib.file_digest(body, "sha256").digest()


def _resident(process: int, name: str) -> int:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise NotWorking(f"the daemon's {name} is not known: it has ended")


@contextmanager
def _server(folder: Path) -> Iterator[S3Server]:
    program, store = rclone(), folder / "store"
    if program is None:
        raise NotWorking("no S3 server: rclone is not installed")
    store.mkdir()
    server = S3Server(program, store, free_port(), streams=True)
    try:
        server.start()
        yield server
    finally:
        server.stop()

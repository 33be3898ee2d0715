"""Requests to the store: in threads, a bounded number at once, tried again while that may help."""

import math
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import anyio
import anyio.to_thread
import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from runnerd.plugins.errors import BackendAway
from runnerd.plugins.s3.faults import Passing, Place
from runnerd.plugins.s3.settings import S3Settings

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

CONNECT_SECONDS = 5.0
STALL_SECONDS = 20.0
ASSEMBLY_SECONDS = 300.0
ANSWER_SECONDS = 25.0
WINDOW_SECONDS = 6.0
LEAST_BYTES_A_SECOND = 100_000
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 4.0
AWS = "AWS"
Result = TypeVar("Result")
_chance = random.SystemRandom()


class Connection:
    """The clients of one store, made when they are first needed: finding credentials may take time.

    boto3 itself tries nothing again here, so that one place decides how long is waited.
    """

    def __init__(self, settings: S3Settings, bucket: str) -> None:
        self._settings = settings
        self.place = Place(bucket, settings.endpoint_url or AWS, settings.region)
        self._slots = anyio.CapacityLimiter(settings.max_concurrency)
        self._threads = anyio.CapacityLimiter(math.inf)
        self._making = threading.Lock()
        self._clients: dict[float, S3Client] = {}

    async def ask(
        self,
        work: Callable[["S3Client"], Result],
        key: str = "",
        *,
        window: float = WINDOW_SECONDS,
        sent: int = 0,
        stall: float = STALL_SECONDS,
        commits: bool = False,
    ) -> Result:
        """Do ``work`` with a client, in a thread; again for ``window`` seconds where it may help.

        ``sent`` is the number of bytes that travel with it, ``stall`` how many seconds the store
        may be silent. What ``commits`` is seen to its end although the caller was cancelled: it
        must not take effect later. Raises ``PluginError`` about ``key``.
        """
        pause, until = FIRST_PAUSE, time.monotonic() + window
        limit = max(ANSWER_SECONDS, stall + CONNECT_SECONDS) + sent / LEAST_BYTES_A_SECOND
        while True:
            try:
                async with self._slots:
                    with anyio.CancelScope(shield=commits):
                        return await self._once(work, key, stall, limit)
            except Passing:
                if time.monotonic() + pause > until:
                    raise
            await anyio.sleep(pause * _chance.uniform(0.5, 1.0))
            pause = min(2 * pause, LONGEST_PAUSE)

    async def probe(self, work: Callable[["S3Client"], Result], seconds: float) -> Result:
        """Do ``work`` once, within ``seconds``, and not behind what is waiting for its turn."""
        return await self._once(work, "", STALL_SECONDS, seconds)

    def close(self) -> None:
        """Close what is open to the store."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    async def _once(
        self, work: Callable[["S3Client"], Result], key: str, stall: float, limit: float
    ) -> Result:
        try:
            with anyio.fail_after(limit):
                return await anyio.to_thread.run_sync(
                    self._work, work, key, stall, abandon_on_cancel=True, limiter=self._threads
                )
        except TimeoutError as error:
            raise Passing(
                f"the S3 store at {self.place.endpoint} did not answer within {limit:.0f} "
                "seconds: check that it runs, the network, and endpoint_url in [plugins.s3]"
            ) from error

    def _work(self, work: Callable[["S3Client"], Result], key: str, stall: float) -> Result:
        try:
            return work(self._client(stall))
        except (BotoCoreError, ClientError, OSError) as error:
            raise self.place.fault(error, key) from error

    def _client(self, stall: float) -> "S3Client":
        with self._making:
            if stall not in self._clients:
                try:
                    self._clients[stall] = self._made(stall)
                except ValueError as error:
                    raise BackendAway(f"correct [plugins.s3]: {error}") from error
            return self._clients[stall]

    def _made(self, stall: float) -> "S3Client":
        settings = self._settings
        session = boto3.session.Session(profile_name=settings.profile, region_name=settings.region)
        return session.client(
            "s3",
            endpoint_url=settings.endpoint_url,
            config=Config(
                connect_timeout=CONNECT_SECONDS,
                read_timeout=stall,
                retries={"total_max_attempts": 1, "mode": "standard"},
                max_pool_connections=settings.max_concurrency + 4,
                signature_version="s3v4",
                s3={"addressing_style": settings.addressing_style},
                # Bodies carry Content-MD5, which every store checks; few know the newer checksums.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

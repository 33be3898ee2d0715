"""What is wrong with credentials, bucket, region or clock: each says what to do, and keeps nothing.

Where the S3 server of the tests can't be in the state, a proxy before it answers as the store of
the name would.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from runnerd.plugins import BackendAway, Condition, Refused
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from runnerd.testing.storages.ground import read, stream
from tests.s3 import S3Server
from tests.s3_faults import FaultyS3, anything, faulty_s3

pytestmark = [pytest.mark.anyio, pytest.mark.s3]


@pytest.fixture
def faulty(s3: S3Server) -> Iterator[FaultyS3]:
    with faulty_s3(s3.port) as proxy:
        yield proxy


async def expect_everywhere(settings: S3Settings, words: str) -> None:
    """Ask for the sentence in health and in the error of every verb."""
    storage = S3Storage(settings)
    await storage.open()
    try:
        health = await storage.health()
        assert health.condition is Condition.UNHEALTHY
        assert words in health.detail
        large = b"x" * settings.part_bytes
        for verb in (
            lambda: storage.put("k", stream(b"1")),
            lambda: storage.put("k", stream(large, large)),
            lambda: read(storage, "k"),
            lambda: storage.stat("k"),
            lambda: storage.list("k"),
            lambda: storage.delete("k"),
        ):
            with pytest.raises(BackendAway) as caught:
                await verb()
            assert words in str(caught.value)
    finally:
        await storage.close()


async def test_no_credential(settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    await expect_everywhere(settings, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")


async def test_an_unknown_key(settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody-else")
    await expect_everywhere(settings, "correct AWS_ACCESS_KEY_ID")


async def test_a_wrong_secret(settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    await expect_everywhere(settings, "correct AWS_SECRET_ACCESS_KEY")


async def test_half_a_credential(settings: S3Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    await expect_everywhere(settings, "correct the daemon's AWS_… variables")


async def test_an_unknown_profile(settings: S3Settings) -> None:
    missing = settings.model_copy(update={"profile": "nobody"})
    await expect_everywhere(missing, "correct profile in [plugins.s3]")


async def test_a_missing_bucket(settings: S3Settings) -> None:
    missing = settings.model_copy(update={"bucket": "no-such-bucket"})
    await expect_everywhere(missing, "there is no bucket 'no-such-bucket' at http://127.0.0.1")


async def test_no_bucket_named() -> None:
    storage = S3Storage(S3Settings())
    with pytest.raises(Refused, match=r"set bucket in \[plugins.s3\]"):
        await storage.open()
    await storage.close()


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "AuthorizationHeaderMalformed", "set region = 'eu-north-1' in [plugins.s3]"),
        (301, "PermanentRedirect", "not in 'us-east-1': set region = 'eu-north-1'"),
        (400, "ExpiredToken", "session token for the S3 store has expired: renew it"),
        (403, "AccessDenied", "s3:PutObject"),
    ],
)
async def test_what_other_stores_say(
    settings: S3Settings, faulty: FaultyS3, status: int, code: str, words: str
) -> None:
    there = {"x-amz-bucket-region": "eu-north-1"}
    faulty.fail(anything, times=1000, status=status, code=code, headers=there)
    await expect_everywhere(settings.model_copy(update={"endpoint_url": faulty.url}), words)


async def test_a_clock_that_is_off(settings: S3Settings, faulty: FaultyS3) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
    faulty.fail(
        anything, times=1000, status=403, code="RequestTimeTooSkewed", headers={"Date": there}
    )
    elsewhere = settings.model_copy(update={"endpoint_url": faulty.url})
    await expect_everywhere(elsewhere, "the clock of this machine is off by 7")

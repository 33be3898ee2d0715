"""Storages on a real S3 server."""

from collections.abc import AsyncIterator

import pytest

from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from tests.s3 import S3Server, make_bucket


@pytest.fixture
def credentials(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's environment, as boto3 reads it."""
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def settings(s3: S3Server, credentials: None) -> S3Settings:
    return S3Settings(bucket=make_bucket(s3.url), endpoint_url=s3.url, region="us-east-1")


@pytest.fixture
async def storage(settings: S3Settings) -> AsyncIterator[S3Storage]:
    opened = S3Storage(settings)
    await opened.open()
    yield opened
    await opened.close()

"""Storages to move between: folders, and buckets of a real S3 server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runnerd.plugins import Storage
from runnerd.plugins.local import LocalStorage
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from tests.s3 import S3Server, make_bucket


@pytest.fixture
async def local(tmp_path: Path) -> AsyncIterator[Storage]:
    storage = LocalStorage(tmp_path / "local")
    await storage.open()
    yield storage
    await storage.close()


@pytest.fixture
async def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Storage]:
    for name, value in s3.credentials.items():
        monkeypatch.setenv(name, value)
    settings = S3Settings(bucket=make_bucket(s3.url), endpoint_url=s3.url, region="us-east-1")
    storage = S3Storage(settings)
    await storage.open()
    yield storage
    await storage.close()

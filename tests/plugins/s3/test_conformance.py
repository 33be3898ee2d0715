"""The storage contract, on two S3 servers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runnerd.plugins import Storage
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.s3.storage import S3Storage
from runnerd.testing import StorageSuite
from runnerd.testing.storages.ground import StorageGround
from tests.s3 import free_port, make_bucket, moto_server

pytestmark = pytest.mark.s3


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


class S3Ground(StorageGround):
    settings: S3Settings

    def make_storage(self, folder: Path) -> Storage:
        return S3Storage(self.settings)

    def make_away_storage(self, folder: Path) -> Storage:
        nobody = f"http://127.0.0.1:{free_port()}"
        return S3Storage(self.settings.model_copy(update={"endpoint_url": nobody}))


class TestS3Storage(S3Ground, StorageSuite):
    """On rclone, all but what it answers with a 500 since no file can be called so."""

    long_keys = ("a/" * 600 + "a", "a\ud800b")
    test_an_object_beside_a_folder_of_its_name = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def place(self, settings: S3Settings) -> None:
        self.settings = settings.model_copy(update={"direct": True})


class TestKeys(S3Ground):
    """On moto, where any key that S3 allows is allowed."""

    test_keys = StorageSuite.test_keys_come_back_as_they_were_given
    test_long_keys = StorageSuite.test_a_long_key_works_or_is_refused
    test_both = StorageSuite.test_an_object_beside_a_folder_of_its_name

    @pytest.fixture(autouse=True)
    def place(self, server: str, settings: S3Settings) -> None:
        changes = {"endpoint_url": server, "bucket": make_bucket(server)}
        self.settings = settings.model_copy(update=changes)

"""The storage contract: on files, renamed and committed, and on an SFTP server."""

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from conftest import SftpServer, free_port

from runnerd.plugins import Storage
from runnerd.testing import StorageSuite
from runnerd_fsspec import FsspecSettings, FsspecStorage


def storage(settings: dict[str, Any]) -> Storage:
    return FsspecStorage(FsspecSettings.model_validate(settings))


class TestFiles(StorageSuite):
    def make_storage(self, folder: Path) -> Storage:
        return storage({"url": f"file://{folder}/root"})


@pytest.mark.rclone
class TestSftp(StorageSuite):
    many = 300
    big = 96 * 1024 * 1024

    @pytest.fixture(autouse=True)
    def place(self, sftp: SftpServer) -> None:
        self.server = sftp
        self.name = uuid4().hex

    def make_storage(self, folder: Path) -> Storage:
        return storage(self.server.sftp_settings(self.name))

    def make_away_storage(self, folder: Path) -> Storage:
        return storage(self.server.sftp_settings(self.name, port=free_port()))


class TestUploads(StorageSuite):
    """What is done with object stores, on fsspec's own files: they too can be committed.

    They have folders, which object stores have not and nobody removes here: tests that look for
    those are left out.
    """

    test_an_object_beside_a_folder_of_its_name = None  # type: ignore[assignment]
    test_deleting_takes_what_is_below_and_nothing_beside = None  # type: ignore[assignment]
    test_a_large_folder_is_listed_and_deleted_whole = None  # type: ignore[assignment]
    test_a_long_key_works_or_is_refused = None  # type: ignore[assignment]

    def make_storage(self, folder: Path) -> Storage:
        options = {"auto_mkdir": True}
        return storage({"url": f"file://{folder}/root", "write": "commit", "options": options})

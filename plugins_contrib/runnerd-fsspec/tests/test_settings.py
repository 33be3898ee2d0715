"""What settings are refused, and in what words."""

import anyio
import pytest
from pydantic import ValidationError

from runnerd.plugins import Refused
from runnerd_fsspec import FsspecSettings, FsspecStorage


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("bucket/prefix", "has to be one address"),
        ("simplecache::gs://bucket", "has to be one address"),
        ("sftp://user:secret@host/x", "put the password into secrets"),
        ("webhdfs://host/x", "it is not known how webhdfs:// stores an object whole"),
    ],
)
def test_what_can_not_be_right_is_refused(url: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        FsspecSettings(url=url)


def test_a_package_that_is_missing_is_named() -> None:
    storage = FsspecStorage(FsspecSettings(url="gs://bucket/prefix"))
    with pytest.raises(Refused, match=r"gcsfs.*install what it names"):
        anyio.run(storage.open)


def test_secrets_are_not_shown() -> None:
    settings = FsspecSettings.model_validate({"url": "sftp://h/x", "secrets": {"password": "Zq8"}})
    assert "Zq8" not in repr(settings) + settings.model_dump_json()

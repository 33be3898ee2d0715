"""The rules of ``Storage`` about transfers between a client and the backend itself."""

import os
from collections.abc import Sequence

import httpx
import pytest

from runnerd.plugins import (
    DirectUpload,
    NotFound,
    Refused,
    Storage,
    StorageCapability,
    StoredObject,
)
from runnerd.testing.rules import proves
from runnerd.testing.storages.ground import MIB, StorageGround, read, stream

SECONDS = 60.0


class DirectRules(StorageGround):
    """Direct downloads and uploads, where the storage declares them.

    ``direct_part`` is the size in bytes of the parts that are sent; the last one may be shorter.
    """

    direct_part = 8 * MIB

    @proves("direct-upload-whole", "direct-upload-unseen")
    async def test_what_is_sent_to_the_backend_is_the_object(self, storage: Storage) -> None:
        _require(storage, StorageCapability.DIRECT_UPLOAD)
        parts = [os.urandom(self.direct_part), os.urandom(1000)]
        await storage.put("a/k", stream(b"old"))
        old = await storage.list("a")
        begun = await _begun(storage, "a/k", 2)
        etags = await _sent(begun, parts)
        assert await storage.list("a") == old
        assert await read(storage, "a/k") == b"old"
        await storage.finish_direct_upload("a/k", begun.upload_id, etags)
        assert await read(storage, "a/k") == b"".join(parts)
        assert await storage.list("a") == [StoredObject("a/k", self.direct_part + 1000)]

    @proves("direct-upload-checked")
    async def test_an_upload_that_is_not_under_way_is_not_finished(self, storage: Storage) -> None:
        _require(storage, StorageCapability.DIRECT_UPLOAD)
        begun = await _begun(storage, "k", 1)
        etags = await _sent(begun, [b"1"])
        for key, upload_id in (("other", begun.upload_id), ("k", "0" * len(begun.upload_id))):
            with pytest.raises(NotFound, match=f"'{key}'"):
                await storage.finish_direct_upload(key, upload_id, etags)
        with pytest.raises(Refused, match="'k'"):
            await storage.finish_direct_upload("k", begun.upload_id, ["0" * 32])
        assert await storage.list("") == []
        await storage.abort_direct_upload("k", begun.upload_id)

    @proves("direct-upload-aborted")
    async def test_an_aborted_upload_leaves_nothing(self, storage: Storage) -> None:
        _require(storage, StorageCapability.DIRECT_UPLOAD)
        begun = await _begun(storage, "k", 1)
        etags = await _sent(begun, [b"1"])
        await storage.abort_direct_upload("k", begun.upload_id)
        await storage.abort_direct_upload("k", begun.upload_id)
        with pytest.raises(NotFound):
            await storage.finish_direct_upload("k", begun.upload_id, etags)
        assert await storage.list("") == []

    @proves("direct-download-same", "direct-download-missing")
    async def test_what_is_read_at_the_backend_is_the_object(self, storage: Storage) -> None:
        _require(storage, StorageCapability.DIRECT_DOWNLOAD)
        whole = os.urandom(self.direct_part + 1000)
        await storage.put("a/k", stream(whole))
        found = await storage.direct_download("a/k")
        assert found is not None, "a large object is given through the daemon only"
        assert found.size == len(whole)
        async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client:
            assert (await client.get(found.url)).content == whole
            ranged = await client.get(found.url, headers={"Range": "bytes=10-19"})
        assert ranged.content == whole[10:20]
        for key in ("a", "a/other"):
            with pytest.raises(NotFound, match=f"'{key}'"):
                await storage.direct_download(key)


def _require(storage: Storage, capability: StorageCapability) -> None:
    if capability not in storage.capabilities:
        pytest.skip(f"the storage does not declare {capability}")


async def _begun(storage: Storage, key: str, parts: int) -> DirectUpload:
    begun = await storage.direct_upload(key, parts)
    assert begun is not None, "an upload of few parts is taken through the daemon only"
    assert len(begun.urls) == parts
    return begun


async def _sent(begun: DirectUpload, parts: Sequence[bytes]) -> list[str]:
    """Send the parts, the last one first, and give their ETags in order."""
    etags: list[str] = []
    async with httpx.AsyncClient(timeout=SECONDS, trust_env=False) as client:
        for url, part in reversed(list(zip(begun.urls, parts, strict=True))):
            answer = await client.put(url, content=part)
            assert answer.status_code == 200, answer.text
            etags.insert(0, answer.headers["ETag"])
    return etags

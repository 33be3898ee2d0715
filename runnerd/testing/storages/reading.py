"""The rules of ``Storage`` about reading and listing."""

import anyio
import pytest

from runnerd.plugins import NotFound, PluginError, Refused, Storage, StoredObject
from runnerd.testing.rules import proves
from runnerd.testing.storages.ground import DIGITS, MIB, StorageGround, read, stream


class ReadingRules(StorageGround):
    """Get, stat and list."""

    @proves("get-range")
    @pytest.mark.parametrize(
        ("start", "end", "expected"),
        [
            (0, None, DIGITS),
            (3, 7, b"3456"),
            (8, 99, b"89"),
            (0, 1, b"0"),
            (10, None, b""),
            (4, 4, b""),
        ],
    )
    async def test_a_range_is_cut_to_the_object(
        self, storage: Storage, start: int, end: int | None, expected: bytes
    ) -> None:
        await storage.put("digits", stream(DIGITS))
        async with storage.get("digits", start=start, end=end) as download:
            assert b"".join([piece async for piece in download.body]) == expected
            assert (download.size, download.start) == (10, start)
            assert download.end - download.start == len(expected)

    @proves("get-range")
    @pytest.mark.parametrize(("start", "end"), [(11, None), (-1, None), (5, 4)])
    async def test_a_range_outside_the_object_is_refused(
        self, storage: Storage, start: int, end: int | None
    ) -> None:
        await storage.put("digits", stream(DIGITS))
        with pytest.raises(Refused, match="10 bytes"):
            await read(storage, "digits", start, end)

    @proves("get-version")
    @pytest.mark.parametrize("replaced", [True, False])
    async def test_a_reader_gets_no_mixture(self, storage: Storage, replaced: bool) -> None:
        old, new = b"o" * 40 * MIB, b"n" * 40 * MIB
        await storage.put("k", stream(old))
        pieces = []
        try:
            async with storage.get("k") as download:
                pieces.append(await anext(download.body))
                await (storage.put("k", stream(new)) if replaced else storage.delete("k"))
                pieces += [piece async for piece in download.body]
        except PluginError:
            pieces = [old]  # it was told, which is as good
        assert b"".join(pieces) == old, "the reader got a mixture of two versions"

    @proves("get-left")
    async def test_readers_that_leave_disturb_nobody(self, storage: Storage) -> None:
        whole = bytes(range(256)) * 80_000
        await storage.put("k", stream(whole))
        for _ in range(30):
            async with storage.get("k") as download:
                assert await anext(download.body)
        async with storage.get("k"):
            pass
        assert await read(storage, "k") == whole

    @proves("get-left", "get-range")
    async def test_many_read_at_once(self, storage: Storage) -> None:
        whole = bytes(range(256)) * 8_000
        await storage.put("k", stream(whole))
        same = []

        async def check(start: int) -> None:
            same.append(await read(storage, "k", start, start + 70_000) == whole[start:][:70_000])

        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(check, number * 50_001)
        assert same == [True] * 40

    @proves("get-missing", "stat-missing", "error-named")
    async def test_what_is_not_there_is_not_found(self, storage: Storage) -> None:
        await storage.put("a/b", stream(b"1"))
        for key in ("a", "a/b/c", "x", "x/y", "a/B"):
            with pytest.raises(NotFound, match=f"'{key}'"):
                await storage.stat(key)
            with pytest.raises(NotFound, match=f"'{key}'"):
                await read(storage, key)

    @proves("list-children", "list-unknown")
    async def test_a_listing_gives_direct_children_in_order(self, storage: Storage) -> None:
        for key in ("a/c/deep/x", "a/b", "a/c.txt", "ab/x", "z"):
            await storage.put(key, stream(b"1"))
        assert await storage.list("a") == [
            StoredObject("a/b", 1),
            StoredObject("a/c", 0, is_folder=True),
            StoredObject("a/c.txt", 1),
        ]
        assert [each.key for each in await storage.list("")] == ["a", "ab", "z"]
        assert await storage.list("a/b") == []
        assert await storage.list("never/was") == []

    @proves("list-complete", "delete-below")
    async def test_a_large_folder_is_listed_and_deleted_whole(self, storage: Storage) -> None:
        names = [f"big/{number:05}" for number in range(self.many)]
        limit = anyio.CapacityLimiter(16)

        async def put(key: str) -> None:
            async with limit:
                await storage.put(key, stream(b"1"))

        async with anyio.create_task_group() as group:
            for name in names:
                group.start_soon(put, name)
        assert [each.key for each in await storage.list("big")] == names
        await storage.delete("big")
        assert await storage.list("") == []

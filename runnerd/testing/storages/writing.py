"""The rules of ``Storage`` about storing and deleting, and about keys."""

import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from runnerd.plugins import NotFound, Refused, Storage, StoredObject, check_key
from runnerd.testing.rules import proves
from runnerd.testing.storages.ground import DIGITS, MIB, StorageGround, read, stream

STRANGE_KEYS = (
    "plain",
    "Plain",
    "with spaces/ and more ",
    "ümläut/é",
    "ümläut/e\u0301",
    "100%/%2e%2e/a+b&c=d?e#f",
    "..a/b../.hidden/~",
    "emoji/🚀",
    "quotes/'\"<>;,:@!$*()[]{}|^`",
)
BAD_KEYS = (
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    ".",
    "..",
    "a/../b",
    "a/./b",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x7f",
)


class WritingRules(StorageGround):
    """Put, delete and keys."""

    @proves("put-described")
    async def test_what_is_put_is_read_back_and_described(self, storage: Storage) -> None:
        stored = await storage.put("a/b", stream(b"ab", b"", b"c"), size=3)
        assert stored == StoredObject("a/b", 3)
        assert await storage.stat("a/b") == stored
        assert await read(storage, "a/b") == b"abc"
        assert await storage.put("a/b", stream(b"replaced")) == StoredObject("a/b", 8)
        assert await read(storage, "a/b") == b"replaced"

    @proves("put-described", "get-range")
    async def test_an_empty_object_is_an_object(self, storage: Storage) -> None:
        assert await storage.put("empty", stream(), size=0) == StoredObject("empty", 0)
        assert await storage.stat("empty") == StoredObject("empty", 0)
        assert await read(storage, "empty") == b""
        assert await storage.list("") == [StoredObject("empty", 0)]

    @proves("put-described", "get-range")
    async def test_a_body_of_many_pieces_arrives_in_order(self, storage: Storage) -> None:
        pieces = [bytes([number % 251]) * (number * 977 % 70_001) for number in range(700)]
        whole = b"".join(pieces)
        await storage.put("k", stream(*pieces))
        assert await read(storage, "k") == whole, "the bytes came back in another order"
        start, end = 7_999_999, 17_000_003
        assert await read(storage, "k", start, end) == whole[start:end]

    @proves("put-durable", "open-leftovers")
    async def test_what_is_put_is_there_for_the_next_daemon(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        await storage.put("a/kept", stream(DIGITS))
        other = self.make_storage(tmp_path)
        await other.open()
        assert await read(other, "a/kept") == DIGITS
        assert await other.list("a") == [StoredObject("a/kept", 10)]
        await other.close()
        assert await read(storage, "a/kept") == DIGITS, "closing one storage closed another"

    @proves("put-whole")
    async def test_a_body_that_breaks_off_leaves_the_old_object(self, storage: Storage) -> None:
        async def broken() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * MIB
            raise ConnectionResetError("the client went away")

        await storage.put("a/k", stream(b"old"))
        for key in ("a/k", "a/new"):
            with pytest.raises(ConnectionResetError, match="the client went away"):
                await storage.put(key, broken())
        assert await read(storage, "a/k") == b"old"
        assert await storage.list("a") == [StoredObject("a/k", 3)]

    @proves("put-whole")
    async def test_a_put_under_way_is_not_seen_and_a_cancelled_one_leaves_nothing(
        self, storage: Storage
    ) -> None:
        under_way = anyio.Event()

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(20):
                yield b"x" * MIB
            under_way.set()
            await anyio.sleep_forever()

        await storage.put("a/kept", stream(b"1"))
        kept = [StoredObject("a/kept", 1)]
        async with anyio.create_task_group() as group:
            group.start_soon(storage.put, "a/k", endless())
            await under_way.wait()
            assert await storage.list("a") == kept, "a half-written object is listed"
            with pytest.raises(NotFound):
                await storage.stat("a/k")
            group.cancel_scope.cancel()
        assert await storage.list("a") == kept

    @proves("open-leftovers")
    async def test_opening_disturbs_no_put_under_way(
        self, storage: Storage, tmp_path: Path
    ) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"x" * 20 * MIB
            other = self.make_storage(tmp_path)
            await other.open()
            await other.close()
            yield b"y"

        assert await storage.put("k", body()) == StoredObject("k", 20 * MIB + 1)
        assert await read(storage, "k", 20 * MIB - 1) == b"xy"

    @proves("put-size", "error-named")
    @pytest.mark.parametrize("size", [2, 4, 40 * MIB])
    async def test_a_body_of_another_length_than_announced_is_refused(
        self, storage: Storage, size: int
    ) -> None:
        await storage.put("k", stream(b"old"))
        with pytest.raises(Refused, match="'k'"):
            await storage.put("k", stream(b"abc"), size=size)
        assert await read(storage, "k") == b"old"

    @proves("put-last")
    async def test_of_puts_at_once_one_is_kept_whole(self, storage: Storage) -> None:
        bodies = [bytes([number]) * (MIB + number) for number in range(12)]
        async with anyio.create_task_group() as group:
            for body in bodies:
                group.start_soon(storage.put, "k", stream(body[:7], body[7:]))
        assert await read(storage, "k") in bodies, "two bodies were mixed"

    @proves("put-memory", "get-memory")
    async def test_a_big_object_costs_no_memory(self, storage: Storage) -> None:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(0, self.big, MIB // 4):
                yield bytes(MIB // 4)

        tracemalloc.start()
        try:
            await storage.put("big", body())
            _, written = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            seen = 0
            async with storage.get("big") as download:
                async for piece in download.body:
                    seen += len(piece)
            _, got = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert seen == self.big
        assert written < 64 * MIB, f"a put took {written / MIB:.0f} MiB of memory"
        assert got < 64 * MIB, f"a get took {got / MIB:.0f} MiB of memory"

    @proves("delete-below", "delete-again")
    async def test_deleting_takes_what_is_below_and_nothing_beside(self, storage: Storage) -> None:
        for key in ("a/b/c/1", "a/b/c/2/x", "a/b/cc", "a/d"):
            await storage.put(key, stream(b"1"))
        await storage.delete("a/b/c")
        await storage.delete("a/b/c")
        await storage.delete("never/was")
        assert [each.key for each in await storage.list("a/b")] == ["a/b/cc"]
        await storage.delete("a/b/cc")
        assert await storage.list("a") == [StoredObject("a/d", 1)], "an empty folder is listed"
        await storage.delete("a/d")
        await storage.put("a", stream(b"an object now"))
        assert await read(storage, "a") == b"an object now"

    @proves("delete-others")
    async def test_deletes_beside_puts_lose_no_put(self, storage: Storage) -> None:
        async def put_again() -> None:
            for _ in range(20):
                await storage.put("deep/er/kept", stream(b"1"))

        async def delete_again() -> None:
            for _ in range(20):
                await storage.put("deep/er/gone", stream(b"1"))
                await storage.delete("deep/er/gone")

        async with anyio.create_task_group() as group:
            group.start_soon(put_again)
            group.start_soon(delete_again)
        assert await storage.list("deep/er") == [StoredObject("deep/er/kept", 1)]

    @proves("key-verbatim")
    async def test_keys_come_back_as_they_were_given(self, storage: Storage) -> None:
        for key in STRANGE_KEYS:
            await storage.put(key, stream(key.encode()))
        for key in STRANGE_KEYS:
            assert await read(storage, key) == key.encode()
            folder = key.rpartition("/")[0]
            assert key in [each.key for each in await storage.list(folder)]
        await storage.delete("ümläut/é")
        assert [each.key for each in await storage.list("ümläut")] == ["ümläut/e\u0301"]

    @proves("key-checked")
    @pytest.mark.parametrize("key", BAD_KEYS)
    async def test_a_key_that_leads_elsewhere_is_refused(self, storage: Storage, key: str) -> None:
        with pytest.raises(Refused):
            check_key(key)
        with pytest.raises(Refused):
            await storage.put(key, stream(b"1"))
        with pytest.raises(Refused):
            await read(storage, key)
        with pytest.raises(Refused):
            await storage.stat(key)
        with pytest.raises(Refused):
            await storage.delete(key)
        if key:
            with pytest.raises(Refused):
                await storage.list(key)
        assert await storage.list("") == []

    @proves("key-length")
    async def test_a_long_key_works_or_is_refused(self, storage: Storage) -> None:
        longest = "/".join(["p" * 200, "q" * 200, "r" * 110])
        await storage.put(longest, stream(b"1"))
        assert await read(storage, longest) == b"1"
        await storage.delete(longest)
        for key in self.long_keys:
            try:
                await storage.put(key, stream(b"1"))
            except Refused:
                assert await storage.list("") == []
            else:
                assert await read(storage, key) == b"1"
                await storage.delete(key)

    @proves("key-both")
    @pytest.mark.parametrize("later", ["a", "a/b/c", "a/b/c/d"])
    async def test_an_object_beside_a_folder_of_its_name(
        self, storage: Storage, later: str
    ) -> None:
        await storage.put("a/b", stream(b"kept"))
        try:
            await storage.put(later, stream(b"later"))
        except Refused as refusal:
            assert repr(later) in str(refusal)
        else:
            assert await read(storage, later) == b"later"
        assert await read(storage, "a/b") == b"kept"

"""Many submissions in one transaction: each gets its own answer."""

from collections.abc import Sequence

import anyio
import anyio.lowlevel
import pytest

from runnerd.store import IdempotencyConflict, Store, StoreAway, Submission
from runnerd.store.group_commit import GroupCommit
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


async def test_submissions_at_once_keep_their_order_and_their_keys(store: Store) -> None:
    answers: dict[int, Submission | IdempotencyConflict] = {}

    async def submit(number: int, key: str | None, name: str) -> None:
        try:
            wanted = specification(script_name=name, tags={"number": str(number)})
            answers[number] = await store.submit(wanted, idempotency_key=key)
        except IdempotencyConflict as conflict:
            answers[number] = conflict

    async with anyio.create_task_group() as group:
        for number in range(300):
            group.start_soon(submit, number, None, "train.py")
        group.start_soon(submit, 300, "twice", "train.py")
        group.start_soon(submit, 301, "twice", "other.py")
    assert isinstance(answers.pop(301), IdempotencyConflict)
    jobs = {
        number: answer.job for number, answer in answers.items() if isinstance(answer, Submission)
    }
    assert len({job.id for job in jobs.values()}) == 301
    listed = (await store.list_jobs(limit=1000)).items
    assert [job.id for job in reversed(listed)] == [jobs[number].id for number in range(301)]
    (found,) = (await store.list_jobs(tag=("number", "7"))).items
    assert found == jobs[7]
    assert [event.kind for event in await store.events(found.id)] == ["submitted"]


async def test_the_same_key_at_once_makes_one_job(store: Store) -> None:
    answers: list[Submission] = []

    async def submit() -> None:
        answers.append(await store.submit(specification(), idempotency_key="same"))

    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(submit)
    assert len({answer.job.id for answer in answers}) == 1
    assert sum(answer.created for answer in answers) == 1


async def test_what_fails_for_all_is_raised_by_each_and_over_with_them() -> None:
    batches: list[list[int]] = []

    async def work(wanted: Sequence[int]) -> list[int]:
        batches.append(list(wanted))
        await anyio.lowlevel.checkpoint()
        if 1 in wanted:
            raise StoreAway("gone")
        return [number * 10 for number in wanted]

    group_commit = GroupCommit[int, int](work)
    raised: list[int] = []

    async def ask(number: int) -> None:
        try:
            assert await group_commit.ask(number) == number * 10
        except StoreAway:
            raised.append(number)

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(ask, number)
    assert raised == [0, 1, 2] and batches == [[0, 1, 2]]
    assert await group_commit.ask(5) == 50


async def test_an_asker_who_goes_away_leaves_the_others_alone() -> None:
    begun, go_on = anyio.Event(), anyio.Event()

    async def work(wanted: Sequence[int]) -> list[int]:
        begun.set()
        await go_on.wait()
        return list(wanted)

    group_commit = GroupCommit[int, int](work)
    answers: list[int] = []

    async def ask(number: int) -> None:
        answers.append(await group_commit.ask(number))

    async with anyio.create_task_group() as group:
        group.start_soon(ask, 1)
        await begun.wait()
        group.start_soon(ask, 2)
        with anyio.move_on_after(0.01) as gone:
            await group_commit.ask(3)
        assert gone.cancelled_caught
        go_on.set()
    assert sorted(answers) == [1, 2]

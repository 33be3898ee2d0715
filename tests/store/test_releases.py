"""Nodes that are declared gone: who may say so, what becomes of their jobs, and what is stale."""

import pytest

from runnerd.jobs import Capacity, Handle, JobState
from runnerd.store import Claim, NodeAlive, NodeNotFound, NodeTaken, StaleLease, Store, nodes
from tests.offers import offer
from tests.store.conftest import specification

ALONE = Capacity(1)
HANDLE = Handle(1, "where it is")
pytestmark = pytest.mark.anyio


@pytest.fixture
def all_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every node be one that was last seen too long ago."""
    monkeypatch.setattr(nodes, "LEASE_SECONDS", -1)


async def claimed(store: Store, *, launched: bool = True) -> Claim:
    await store.submit(specification())
    claim = await store.claim(offer("a", 9))
    assert claim is not None
    if launched:
        await store.note_launch(claim, HANDLE, "0" * 32)
    return claim


async def test_a_node_that_lives_or_never_was_is_not_released(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    held = await claimed(store)
    with pytest.raises(NodeAlive, match=r"'a'.*drain"):
        await store.release_node("a", by="alice", keeper="b")
    with pytest.raises(NodeNotFound, match="'x'"):
        await store.release_node("x", by="alice", keeper="b")
    await store.note_event(held, "still held")


@pytest.mark.usefixtures("all_away")
async def test_its_jobs_pass_to_another_and_its_own_writes_are_stale(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    held = [await claimed(store), await claimed(store, launched=False)]
    await store.mark_running(held[0], 0)
    ids = [claim.job.id for claim in held]
    assert await store.held_by("a") == ids
    assert (await store.release_node("a", by="alice", keeper="b")).jobs == tuple(ids)
    assert (await store.held_by("a"), await store.held_by("b")) == ([], ids)
    with pytest.raises(StaleLease):
        await store.finish(held[0], JobState.RUNNING, JobState.FAILED)
    with pytest.raises(StaleLease):
        await store.note_launch(held[1], HANDLE, "0" * 32)
    assert await store.take_over("a") == []
    taken = await store.take_over("b")
    assert [(claim.job.id, claim.attempt.node, claim.job.state) for claim in taken] == [
        (ids[0], "a", JobState.RUNNING),
        (ids[1], "a", JobState.PREPARING),
    ]
    event = (await store.events(ids[0]))[-1]
    assert (event.kind, event.data) == ("node_released", {"node": "a", "by": "alice"})
    assert event.reason == "the node 'a' was declared gone for good by alice"


@pytest.mark.usefixtures("all_away")
async def test_what_may_still_run_is_known_by_its_folder_until_it_is_over(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    launched = await claimed(store)
    await claimed(store, launched=False)
    await store.release_node("a", by="alice", keeper="b")
    (left,) = await store.released_in("place-1")
    assert (left.id, left.handle) == (launched.attempt.id, HANDLE)
    assert await store.released_in("place-2") == []
    await store.forget_released(left)
    assert await store.released_in("place-1") == []


@pytest.mark.usefixtures("all_away")
async def test_releasing_twice_changes_nothing_and_returning_ends_it(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    job_id = (await claimed(store)).job.id
    first = await store.release_node("a", by="alice", keeper="b")
    again = await store.release_node("a", by="bob", keeper="c")
    assert (again.released_at, again.jobs) == (first.released_at, ())
    events = [event.kind for event in await store.events(job_id)]
    assert events.count("node_released") == 1
    (node,) = await store.list_nodes()
    assert node.released_at == first.released_at
    await store.take_seat("a", "http://one", "place-1", ALONE)
    (node,) = await store.list_nodes()
    assert node.released_at is None


@pytest.mark.usefixtures("all_away")
async def test_a_policy_waits_its_time(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    held = await claimed(store)
    with pytest.raises(NodeAlive, match="600 seconds"):
        await store.release_node("a", by="policy", keeper="b", silent_seconds=600)
    await store.note_event(held, "still held")


async def test_live_jobs_keep_a_name_from_another_place(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = await store.take_seat("a", "http://one", "place-1", ALONE)
    await claimed(store)
    await store.leave_seat(seat)
    with pytest.raises(NodeTaken, match="nodes release a"):
        await store.take_seat("a", "http://two", "place-2", ALONE)
    monkeypatch.setattr(nodes, "LEASE_SECONDS", -1)
    with pytest.raises(NodeTaken, match="nodes release a"):
        await store.take_seat("a", "http://two", "place-2", ALONE)
    await store.release_node("a", by="alice", keeper="b")
    await store.take_seat("a", "http://two", "place-2", ALONE)
    assert [left.node for left in await store.released_in("place-1")] == ["a"]

"""Jobs of a dead node pass to a live one where both reach the engine that runs them."""

import pytest

from runnerd.jobs import Abilities, Capacity, Handle, JobState, NodeExecutors
from runnerd.store import Claim, StaleLease, Store, leases, nodes
from tests.offers import offer
from tests.store.conftest import specification

ALONE = Capacity(1)
HANDLE = Handle(1, "where it is")
CLUSTER = NodeExecutors(
    default="subprocess",
    opened={"subprocess": Abilities(), "kubernetes": Abilities(engine="cluster-1")},
)
OURS = {"cluster-1": "k8s"}
pytestmark = pytest.mark.anyio


@pytest.fixture
def past_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every lease have expired as soon as it is given, and every node be silent."""
    monkeypatch.setattr(nodes, "LEASE_SECONDS", -1)
    monkeypatch.setattr(leases, "LEASE_SECONDS", -1)


async def claimed(store: Store, executor: str = "kubernetes") -> Claim:
    await store.submit(specification(executor=executor))
    claim = await store.claim(offer("a", 9, executors=CLUSTER))
    assert claim is not None
    await store.note_launch(claim, HANDLE, "0" * 32)
    return claim


@pytest.mark.usefixtures("past_the_lease")
async def test_a_live_node_carries_on_with_the_attempt_as_it_stands(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE, CLUSTER)
    held = await claimed(store)
    await store.mark_running(held, 0)
    assert await store.take_from_the_dead(["a"], "b", OURS) == [held.job.id]
    with pytest.raises(StaleLease):
        await store.finish(held, JobState.RUNNING, JobState.FAILED)
    assert await store.take_over("a") == []
    (taken,) = await store.take_over("b")
    assert (taken.job.state, taken.attempt.number) == (JobState.RUNNING, held.attempt.number)
    assert (taken.attempt.node, taken.attempt.executor) == ("b", "k8s")
    assert taken.attempt.handle == HANDLE
    event = (await store.events(held.job.id))[-1]
    assert (event.kind, event.data) == ("changed_hands", {"from": "a", "to": "b"})
    assert await store.take_from_the_dead(["a"], "b", OURS) == []


@pytest.mark.usefixtures("past_the_lease")
async def test_what_belongs_to_the_node_or_to_another_engine_stays(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE, CLUSTER)
    own = await claimed(store, "subprocess")
    far = await claimed(store)
    assert await store.take_from_the_dead(["a"], "b", {"cluster-2": "kubernetes"}) == []
    assert await store.take_from_the_dead(["c"], "b", OURS) == []
    assert await store.held_by("a") == [own.job.id, far.job.id]


async def test_nothing_is_taken_from_a_node_that_lives(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE, CLUSTER)
    held = await claimed(store)
    assert await store.take_from_the_dead(["a"], "b", OURS) == []
    await store.note_event(held, "still held")


async def test_a_node_that_left_keeps_its_jobs_until_the_lease_expires(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.leave_seat(await store.take_seat("a", "http://one", "place-1", ALONE, CLUSTER))
    held = await claimed(store)
    assert await store.take_from_the_dead(["a"], "b", OURS) == []
    monkeypatch.setattr(leases, "LEASE_SECONDS", -1)
    late = await claimed(store)
    assert await store.take_from_the_dead(["a"], "b", OURS) == [late.job.id]
    assert await store.held_by("a") == [held.job.id]

"""Nodes and their leases: who is there, who holds what, and until when."""

import pytest

from runnerd.jobs import Capacity, JobState
from runnerd.store import NodeTaken, StaleLease, Store, leases, nodes
from tests.offers import offer
from tests.store.conftest import specification

ALONE = Capacity(1)
pytestmark = pytest.mark.anyio


async def test_a_name_belongs_to_one_place_while_its_daemon_lives(store: Store) -> None:
    await store.take_seat("a", "http://one", "place-1", ALONE)
    with pytest.raises(NodeTaken, match=r"'a'.*http://one.*runnerd.toml"):
        await store.take_seat("a", "http://two", "place-2", ALONE)
    await store.take_seat("b", "http://two", "place-2", ALONE)
    assert [(node.name, node.alive) for node in await store.list_nodes()] == [
        ("a", True),
        ("b", True),
    ]


async def test_a_restart_in_the_same_place_is_never_refused(store: Store) -> None:
    dead = await store.take_seat("a", "http://one:1", "place-1", ALONE)
    again = await store.take_seat("a", "http://one:2", "place-1", ALONE)
    await store.beat(again)
    with pytest.raises(NodeTaken):
        await store.beat(dead)
    (node,) = await store.list_nodes()
    assert node.url == "http://one:2"


async def test_a_name_that_was_left_or_has_expired_is_free(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = await store.take_seat("a", "http://one", "place-1", ALONE)
    await store.leave_seat(left)
    assert [node.alive for node in await store.list_nodes()] == [False]
    await store.take_seat("a", "http://two", "place-2", ALONE)
    monkeypatch.setattr(nodes, "LEASE_SECONDS", -1)
    assert [node.alive for node in await store.list_nodes()] == [False]
    await store.take_seat("a", "http://three", "place-3", ALONE)


async def test_leaving_late_takes_nothing_from_the_successor(store: Store) -> None:
    late = await store.take_seat("a", "http://one", "place-1", ALONE)
    fresh = await store.take_seat("a", "http://one", "place-1", ALONE)
    await store.leave_seat(late)
    await store.beat(fresh)
    assert [node.alive for node in await store.list_nodes()] == [True]


async def test_a_claim_has_an_end_that_the_heartbeat_moves(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seat = await store.take_seat("a", "http://one", "place-1", ALONE)
    monkeypatch.setattr(leases, "LEASE_SECONDS", -5)
    for _ in range(2):
        await store.submit(specification())
        assert await store.claim(offer("a", 2)) is not None
    (node,) = await store.list_nodes()
    assert (node.live_jobs, node.expired_leases) == (2, 2)
    await store.beat(seat)
    (node,) = await store.list_nodes()
    assert (node.live_jobs, node.expired_leases) == (2, 0)


async def test_expiry_alone_gives_a_job_to_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_SECONDS", -5)
    job = (await store.submit(specification())).job
    held = await store.claim(offer("a", 1))
    assert held is not None
    assert await store.claim(offer("b", 9)) is None
    assert await store.take_over("b") == []
    await store.finish(held, JobState.PREPARING, JobState.FAILED, error="x")
    assert (await store.get_job(job.id)).state is JobState.FAILED


async def test_nodes_are_found_by_name_with_their_places(store: Store) -> None:
    seats = [
        await store.take_seat(name, f"http://{name}", place, ALONE)
        for name, place in (("a", "place-1"), ("renamed", "place-1"), ("b", "place-2"))
    ]
    await store.leave_seat(seats[2])
    found = await store.find_nodes(["a", "b", "renamed", "unknown"])
    assert {name: (node.url, node.place, node.alive) for name, node in found.items()} == {
        "a": ("http://a", "place-1", True),
        "renamed": ("http://renamed", "place-1", True),
        "b": ("http://b", "place-2", False),
    }


async def test_strays_are_taken_and_what_is_carried_is_left_alone(store: Store) -> None:
    for _ in range(2):
        await store.submit(specification())
    carried = await store.claim(offer("a", 2))
    stray = await store.claim(offer("a", 2))
    assert carried is not None and stray is not None
    (found,) = await store.take_over("a", known=[carried.job.id])
    assert found.job.id == stray.job.id
    await store.note_event(carried, "still held")
    with pytest.raises(StaleLease):
        await store.note_event(stray, "late")

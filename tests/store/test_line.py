"""The order in which jobs are claimed, and what they wait for."""

import anyio
import pytest

from runnerd.jobs import Capacity, Cause, JobState, Outcome, Resources
from runnerd.store import Claim, Offer, Store, WrongState
from tests.offers import BOTH, SUBPROCESS, offer
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


async def submitted(store: Store, **changes: object) -> str:
    return (await store.submit(specification(**changes))).job.id


async def claimed(store: Store, wanted: Offer) -> str | None:
    claim = await store.claim(wanted)
    return None if claim is None else claim.job.id


async def test_priority_goes_first_and_passes_a_hundred_at_most(store: Store) -> None:
    late = [await submitted(store) for _ in range(3)]
    urgent = await submitted(store, priority=2)
    low = await submitted(store, priority=-1)
    for _ in range(120):
        await submitted(store)
    many = offer(slots=1000)
    assert await claimed(store, many) == urgent
    order = [await claimed(store, many) for _ in range(123)]
    assert order[:3] == late
    place = order.index(low)
    assert 3 < place < 123, "a low priority waits, and not for ever"


async def test_a_full_queue_is_passed_over_on_every_node(store: Store) -> None:
    first, second = [await submitted(store, queue="slow") for _ in range(2)]
    other = await submitted(store)
    here, there = (offer(node, 9, limits={"slow": 1}) for node in ("here", "there"))
    held = await store.claim(here)
    assert held is not None and held.job.id == first
    assert await claimed(store, there) == other
    assert await claimed(store, there) is None
    await store.finish(held, JobState.PREPARING, JobState.FAILED, error="x")
    assert await claimed(store, there) == second


async def test_what_live_jobs_take_is_not_given_twice(store: Store) -> None:
    half = Resources(cpus=1, memory_bytes=100)
    ids = [await submitted(store, resources=half.model_dump()) for _ in range(3)]
    node = offer(slots=9, cpus=2, memory_bytes=1000)
    assert [await claimed(store, node) for _ in range(3)] == [*ids[:2], None]
    assert await claimed(store, offer("there", 9, cpus=1, memory_bytes=99)) is None
    assert await claimed(store, offer("there", 9, cpus=1, memory_bytes=100)) == ids[2]


async def test_devices_are_given_by_index_and_come_back(store: Store) -> None:
    node = offer(slots=9, gpus=(0, 1, 3))
    claims: list[Claim] = []
    for number in (1, 0, 2):
        await submitted(store, resources={"gpus": number})
        claim = await store.claim(node)
        assert claim is not None
        claims.append(claim)
    assert [claim.attempt.gpus for claim in claims] == [(0,), (), (1, 3)]
    await submitted(store, resources={"gpus": 1})
    assert await store.claim(node) is None
    await store.finish(claims[2], JobState.PREPARING, JobState.FAILED, error="x")
    again = await store.claim(node)
    assert again is not None and again.attempt.gpus == (1,)


async def test_a_large_job_is_not_starved_by_small_ones(store: Store) -> None:
    node = offer(slots=9, cpus=4)
    small = await store_claims(store, node, {"cpus": 2}, 2)
    large = await submitted(store, resources={"cpus": 4})
    later = [await submitted(store, resources={"cpus": 1}) for _ in range(3)]
    without = await submitted(store)
    await store.finish(small[0], JobState.PREPARING, JobState.FAILED, error="x")
    assert await claimed(store, node) == without, "it takes nothing that the large one needs"
    assert await claimed(store, node) is None
    await store.finish(small[1], JobState.PREPARING, JobState.FAILED, error="x")
    assert await claimed(store, node) == large
    assert await claimed(store, node) is None
    assert (await store.get_job(later[0])).state is JobState.QUEUED


async def store_claims(
    store: Store, node: Offer, resources: dict[str, float], number: int
) -> list[Claim]:
    found = []
    for _ in range(number):
        await submitted(store, resources=resources)
        claim = await store.claim(node)
        assert claim is not None
        found.append(claim)
    return found


@pytest.mark.postgres
async def test_daemons_that_claim_at_once_keep_a_queues_limit(postgres_url: str) -> None:
    async with Store(postgres_url) as one, Store(postgres_url) as two, Store(postgres_url) as three:
        for _ in range(30):
            await submitted(one, queue="slow")
        taken: list[str] = []

        async def claim_all(store: Store, node: str) -> None:
            wanted = offer(node, 50, limits={"slow": 5})
            while (found := await claimed(store, wanted)) is not None:
                taken.append(found)

        async with anyio.create_task_group() as group:
            for store, node in ((one, "a"), (two, "b"), (three, "c")):
                group.start_soon(claim_all, store, node)
        assert len(taken) == len(set(taken)) == 5


async def seated(store: Store, node: Offer) -> None:
    await store.take_seat(node.node, f"http://{node.node}", node.node, node.capacity)


async def test_a_waiting_job_says_for_what(store: Store) -> None:
    node = offer("here", 2, cpus=4, gpus=(0,))
    first = await submitted(store, resources={"cpus": 3})

    async def waits(job_id: str, **limits: int) -> str | None:
        return await store.waiting_for(await store.get_job(job_id), limits)

    assert "none that shares this queue is alive" in str(await waits(first))
    await seated(store, node)
    assert "a matter of moments" in str(await waits(first))
    assert await claimed(store, node) == first
    assert await waits(first) is None
    second = await submitted(store, resources={"cpus": 2})
    assert await waits(second) == "room: 1 of 4 CPUs are free on here"
    third = await submitted(store, resources={"gpus": 1})
    assert "behind 1 other job" in str(await waits(third))
    huge = await submitted(store, resources={"gpus": 8})
    assert await waits(huge) == "a node with 8 GPUs: here has 4 CPUs and 1 GPU"
    assert await claimed(store, node) is None, "the slot that is free is kept for the second"
    await store.request_cancel(second)
    assert await claimed(store, node) == third
    assert "all 2 slots are taken on here" in str(await waits(await submitted(store)))


async def test_a_full_queue_and_a_later_attempt_are_named(store: Store) -> None:
    node = offer("here", 9, limits={"slow": 1})
    await seated(store, node)
    await submitted(store, queue="slow")
    held = await store.claim(node)
    assert held is not None
    waiting = await store.get_job(await submitted(store, queue="slow"))
    assert await store.waiting_for(waiting, {"slow": 1}) == (
        "a place in its queue: 1 of 'slow' may run at a time"
    )
    await store.requeue(held, JobState.PREPARING, Outcome(Cause.LOST), error="vanished", delay=3600)
    delayed = await store.waiting_for(await store.get_job(held.job.id), {})
    assert delayed is not None and delayed.startswith("its next attempt, which begins after ")


async def test_depths_are_counted_by_queue(store: Store) -> None:
    for queue in ("slow", "slow", "default"):
        await submitted(store, queue=queue)
    await store.claim(offer(slots=1))
    depths = await store.queue_depths()
    assert {name: (depth.queued, depth.live) for name, depth in depths.items()} == {
        "slow": (1, 1),
        "default": (1, 0),
    }


async def test_a_parked_job_is_listed_and_released_once(store: Store) -> None:
    await submitted(store)
    other = await submitted(store)
    claim = await store.claim(offer())
    assert claim is not None
    await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="lost", parked=True)
    (parked,) = (await store.list_jobs(parked=True)).items
    assert (parked.id, parked.parked, parked.state) == (claim.job.id, True, JobState.FAILED)
    assert (await store.events(parked.id))[-1].kind == "parked"
    with pytest.raises(WrongState, match="not parked"):
        await store.release(other)
    released = await store.release(parked.id)
    assert (released.state, released.parked, released.retries) == (JobState.QUEUED, False, 0)
    with pytest.raises(WrongState, match="not parked"):
        await store.release(parked.id)
    assert (await store.list_jobs(parked=True)).items == []


async def test_a_node_takes_only_what_its_executors_can_run(store: Store) -> None:
    await submitted(store, executor="slurm")
    await submitted(store, executor="docker", resources={"cpus": 3})
    plain = await submitted(store)
    boxed = await submitted(store, executor="docker", resources={"cpus": 2})
    node = offer("here", 9, executors=BOTH)
    claims = [await store.claim(node) for _ in range(3)]
    told = [(claim.job.id, claim.attempt.executor) for claim in claims if claim is not None]
    assert told == [(plain, "subprocess"), (boxed, "docker")]


async def test_a_job_waits_for_a_node_that_opens_its_executor(store: Store) -> None:
    node = offer("here", 2, cpus=8, executors=BOTH)
    other = await submitted(store, executor="slurm")
    large = await submitted(store, executor="docker", resources={"cpus": 4})
    plain = await submitted(store)

    async def waits(job_id: str) -> str | None:
        return await store.waiting_for(await store.get_job(job_id), {})

    await store.take_seat("here", "http://here", "here", node.capacity, BOTH)
    assert await waits(other) == (
        "a node that opens the executor 'slurm': here opens docker, subprocess"
    )
    assert await waits(large) == (
        "a node that gives 'docker' 4 CPUs: here has 8 CPUs, by docker (at most 2 CPUs and 1 GiB), "
        "subprocess"
    )
    assert "a matter of moments" in str(await waits(plain))


async def test_what_executors_can_give_is_told_anew(store: Store) -> None:
    await store.take_seat("here", "http://here", "here", Capacity(1), SUBPROCESS)
    await store.note_executors("here", BOTH)
    (node,) = await store.list_nodes()
    assert node.executors == BOTH

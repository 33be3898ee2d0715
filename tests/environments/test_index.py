"""Package indexes: credentials stay hidden, failures are told apart, no question is asked twice."""

import json
import socket
from dataclasses import asdict
from functools import partial
from pathlib import Path

import anyio
import pytest

from runnerd.environments import IndexAway, Unresolvable
from runnerd.jobs import EnvironmentPlan
from tests.environments.conftest import Open
from tests.environments.index import Index, serve_index

pytestmark = pytest.mark.anyio

SECRET = "s3cr3t%2Fword"


@pytest.fixture
def open_environments(open_environments: Open, tmp_path: Path) -> Open:
    """Open environments with a package cache of their own, which ask an index only once."""
    alone = {"cache": tmp_path / "cache", "variables": {"UV_HTTP_RETRIES": "0"}}
    return partial(open_environments, **alone)


async def test_a_second_request_asks_no_index(open_environments: Open, index: Index) -> None:
    index.add("tiny", "1.0")
    environments = await open_environments(index_url=index.url())
    plan = await environments.resolve(["tiny"])
    index.status = 500
    visits = len(index.visits)
    assert await environments.resolve(["tiny"]) == plan
    restarted = await open_environments(index_url=index.url())
    assert await restarted.resolve(["tiny"]) == plan
    assert len(index.visits) == visits


async def test_the_same_question_at_once_is_asked_once(
    open_environments: Open, index: Index
) -> None:
    index.add("tiny", "1.0")
    environments = await open_environments(index_url=index.url())
    plans: list[EnvironmentPlan] = []

    async def ask() -> None:
        plans.append(await environments.resolve(["tiny"]))

    async with anyio.create_task_group() as group:
        for _ in range(8):
            group.start_soon(ask)
    assert index.visits.count("/simple/tiny/") == 1
    assert plans == [plans[0]] * 8


async def test_who_waits_takes_over_from_one_who_gives_up(
    open_environments: Open, index: Index
) -> None:
    index.add("tiny", "1.0")
    index.silent = True
    environments = await open_environments(index_url=index.url())
    plans: list[EnvironmentPlan] = []
    first = anyio.CancelScope()

    async def leave() -> None:
        with first:
            await environments.resolve(["tiny"])

    async def stay() -> None:
        plans.append(await environments.resolve(["tiny"]))

    async with anyio.create_task_group() as group:
        group.start_soon(leave)
        await anyio.to_thread.run_sync(index.asked.wait)
        group.start_soon(stay)
        await anyio.wait_all_tasks_blocked()
        index.silent = False
        first.cancel()
    assert len(plans) == 1


async def test_credentials_are_used_and_never_shown(
    open_environments: Open, index: Index, tmp_path: Path
) -> None:
    index.add("tiny", "1.0")
    index.password = "s3cr3t/word"
    url = index.url(f"user:{SECRET}@")
    environments = await open_environments(index_url=url)
    plan = await environments.resolve(["tiny"])
    with pytest.raises(Unresolvable) as failed:
        await environments.resolve(["absent"])
    index.status = 500
    with pytest.raises(IndexAway) as away:
        await environments.resolve(["other"])
    kept = [path.read_text() for path in (tmp_path / "environments").rglob("*.json")]
    shown = [repr(plan), repr(environments.describe(plan.key)), plan.lock, *plan.options, *kept]
    shown += [str(failed.value), str(away.value)]
    assert len(kept) == 2
    assert not [text for text in shown if "s3cr3t" in text or "user:" in text]
    assert url in json.dumps(asdict(plan))


async def test_new_credentials_keep_what_was_resolved(
    open_environments: Open, index: Index
) -> None:
    index.add("tiny", "1.0")
    old = await open_environments(index_url=index.url("user:old@"))
    plan = await old.resolve(["tiny"])
    index.status = 500
    new = await open_environments(index_url=index.url("user:new@"))
    assert (await new.resolve(["tiny"])).key == plan.key


async def test_further_indexes_are_asked_too(open_environments: Open, index: Index) -> None:
    index.add("tiny", "1.0")
    with serve_index() as main:
        main.add("small", "2.0", requires="tiny")
        environments = await open_environments(
            index_url=main.url(), extra_index_urls=(index.url(),)
        )
        plan = await environments.resolve(["small"])
    assert environments.describe(plan.key).requirements == ("small==2.0", "tiny==1.0")


@pytest.mark.parametrize("status", [500, 503])
async def test_an_index_with_an_error_of_its_own_is_away(
    open_environments: Open, index: Index, status: int
) -> None:
    index.status = status
    environments = await open_environments(index_url=index.url())
    with pytest.raises(IndexAway, match=str(status)):
        await environments.resolve(["tiny"])


async def test_an_index_that_wants_other_credentials_is_away(
    open_environments: Open, index: Index
) -> None:
    index.password = "right"
    environments = await open_environments(index_url=index.url("user:wrong@"))
    with pytest.raises(IndexAway, match="credentials") as away:
        await environments.resolve(["tiny"])
    assert "wrong" not in str(away.value)


async def test_nobody_listens(open_environments: Open) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environments = await open_environments(index_url=f"http://127.0.0.1:{port}/simple")
    with pytest.raises(IndexAway, match=f"127.0.0.1:{port}.*refused"):
        await environments.resolve(["tiny"])


async def test_an_index_url_that_is_none_is_no_fault_of_the_script(open_environments: Open) -> None:
    environments = await open_environments(index_url="http://user:s3cr3t word@host:port/simple")
    with pytest.raises(IndexAway, match="port") as away:
        await environments.resolve(["tiny"])
    assert "s3cr3t" not in str(away.value)


async def test_an_index_that_says_nothing_is_away(open_environments: Open, index: Index) -> None:
    index.silent = True
    environments = await open_environments(index_url=index.url(), resolve_timeout=16)
    with pytest.raises(IndexAway, match="timed out"):
        await environments.resolve(["tiny"])


async def test_a_resolution_ends_in_time(open_environments: Open, index: Index) -> None:
    index.silent = True
    environments = await open_environments(index_url=index.url(), resolve_timeout=0.5)
    with pytest.raises(Unresolvable, match=r"longer than 0\.5 s.*environments\.resolve_timeout"):
        await environments.resolve(["tiny"])


async def test_an_error_is_forgotten(open_environments: Open, index: Index) -> None:
    index.status = 500
    environments = await open_environments(index_url=index.url())
    with pytest.raises(IndexAway):
        await environments.resolve(["tiny"])
    index.status = None
    index.add("tiny", "1.0")
    assert (await environments.resolve(["tiny"])).lock.startswith("tiny==1.0")

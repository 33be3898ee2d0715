"""What is Postgres's alone: several daemons at once, and a server that goes away."""

import signal
import time
from collections.abc import Iterator

import anyio
import anyio.lowlevel
import pytest

from runnerd.jobs import JobState
from runnerd.store import Store, StoreAway, UnsupportedDatabase, migrations, postgres
from tests.offers import offer
from tests.postgres import PASSWORD, PostgresServer, postgres_server
from tests.store.conftest import specification

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server that the test may stop."""
    with postgres_server() as server:
        yield server


async def test_claims_at_the_same_moment_never_give_the_same_job(postgres_url: str) -> None:
    async with Store(postgres_url) as store, Store(postgres_url) as other:
        jobs = [(await store.submit(specification())).job.id for _ in range(20)]
        claimed: list[str] = []

        async def claim_all(daemon: Store, node: str) -> None:
            while claim := await daemon.claim(offer(node, 100)):
                claimed.append(claim.job.id)

        async with anyio.create_task_group() as group:
            for number, daemon in enumerate((store, other) * 3):
                group.start_soon(claim_all, daemon, f"node-{number}")
        assert sorted(claimed) == sorted(jobs)


async def test_the_slots_of_a_node_are_its_own(store: Store) -> None:
    for _ in range(3):
        await store.submit(specification())
    assert await store.claim(offer("a", 1)) is not None
    assert await store.claim(offer("a", 1)) is None
    assert await store.claim(offer("b", 1)) is not None


async def test_the_same_key_on_two_daemons_makes_one_job(postgres_url: str) -> None:
    async with Store(postgres_url) as store, Store(postgres_url) as other:
        made: list[bool] = []

        async def submit(daemon: Store) -> None:
            made.append((await daemon.submit(specification(), idempotency_key="k")).created)

        async with anyio.create_task_group() as group:
            for daemon in (store, other) * 4:
                group.start_soon(submit, daemon)
    assert sorted(made) == [False] * 7 + [True]


async def test_a_change_wakes_the_listeners_of_another_daemon(postgres_url: str) -> None:
    async with (
        Store(postgres_url) as store,
        Store(postgres_url) as other,
        anyio.create_task_group() as group,
    ):
        with other.changes() as changes, store.changes() as own:
            group.start_soon(store.pass_on_changes)
            group.start_soon(other.pass_on_changes)
            assert await changes.wait(5), "that the line stands is a change, too"
            assert await own.wait(5)
            await store.submit(specification())
            begun = anyio.current_time()
            assert await changes.wait(5)
            assert anyio.current_time() - begun < 1
            assert await own.wait(0)
            assert not await own.wait(0.5), "a daemon must not wake itself in circles"
        group.cancel_scope.cancel()


async def test_what_no_text_of_postgres_can_hold_is_replaced(postgres_url: str) -> None:
    async with Store(postgres_url) as store:
        job = (await store.submit(specification())).job
        claim = await store.claim(offer("here", 1))
        assert claim is not None
        await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="bad \0 byte")
        assert (await store.get_job(job.id)).error == "bad � byte"


async def test_a_restarted_server_is_used_again(own_server: PostgresServer) -> None:
    async with Store(own_server.make_database()) as store:
        await store.submit(specification())
        own_server.stop()
        with pytest.raises(StoreAway, match="does not answer") as away:
            await store.submit(specification())
        assert PASSWORD not in str(away.value)
        own_server.start()
        assert (await store.submit(specification())).created
        own_server.stop("immediate")
        own_server.start()
        for _ in range(5):
            await anyio.lowlevel.checkpoint()  # the loop sees that the line is cut
        assert (await store.submit(specification())).created, "closed connections are not used"


async def test_a_silent_server_is_away_in_bounded_time(
    own_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "SILENCE_SECONDS", 1)
    monkeypatch.setattr(postgres, "CONNECT_SECONDS", 1)
    async with Store(own_server.make_database()) as store:
        await store.submit(specification())
        own_server.signal(signal.SIGSTOP)
        try:
            for verb in (store.submit(specification()), store.get_job("x"), store.has_tokens()):
                begun = time.monotonic()
                with pytest.raises(StoreAway):
                    await verb
                assert time.monotonic() - begun < 6
        finally:
            own_server.signal(signal.SIGCONT)
        assert (await store.submit(specification())).created


def test_refusals_of_the_server_keep_the_password_to_themselves(postgres: PostgresServer) -> None:
    for url in (
        postgres.url("no_such_database"),
        postgres.url("postgres").replace(PASSWORD, "wrong-password"),
        f"postgresql://u:{PASSWORD}@127.0.0.1:1/d",
        f"postgresql://u:{PASSWORD}@no.such.host.invalid/d",
    ):
        with pytest.raises(StoreAway) as away:
            migrations.current(url)
        words = str(away.value)
        assert "the database can't be opened" in words
        assert PASSWORD not in words and "wrong-password" not in words


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:S3cret@h:no-port/d",
        "postgresql://u:S3cret@h/d?passfile=S3cret",
        "postgres://u:S3cret@h/d",
    ],
)
def test_a_url_that_is_wrong_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnsupportedDatabase) as refusal:
        Store(url)
    assert "S3" not in str(refusal.value) and "cret" not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_daemons_that_start_together_migrate_once(postgres_url: str) -> None:
    async def _both() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(4):
                group.start_soon(Store(postgres_url).open)

    anyio.run(_both)
    migrations.check(postgres_url)

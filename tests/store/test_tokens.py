"""Tokens, and whom they stand for."""

from pathlib import Path

import pytest

from runnerd.jobs import Handle, JobState
from runnerd.store import Identity, Store, TokenExists, TokenNotFound
from tests.offers import offer
from tests.store.conftest import specification

pytestmark = pytest.mark.anyio


async def test_an_operators_token_lives_until_it_is_revoked(store: Store) -> None:
    assert not await store.has_tokens()
    token = await store.create_token("ops")
    assert await store.has_tokens()
    assert await store.identify(token.secret) == Identity("operator", "ops")
    assert await store.identify(token.secret + "x") is None
    await store.revoke_token("ops")
    assert await store.identify(token.secret) is None
    assert await store.has_tokens(), "revoking the last token must not open the daemon"
    with pytest.raises(TokenNotFound, match="token list"):
        await store.revoke_token("ops")


async def test_a_name_is_used_once_at_a_time(store: Store) -> None:
    await store.create_token("ops")
    with pytest.raises(TokenExists, match="ops"):
        await store.create_token("ops")
    await store.revoke_token("ops")
    await store.create_token("ops")
    records = await store.list_tokens()
    assert [record.revoked_at is None for record in records] == [False, True]


async def test_the_secret_is_nowhere_in_the_files(sqlite_store: Store, tmp_path: Path) -> None:
    store = sqlite_store
    secret = (await store.create_token("ops")).secret.encode()
    await store.submit(specification())
    claim = await store.claim(offer("here", 1))
    assert claim is not None
    job_secret = (await store.note_launch(claim, Handle(1, "x"), "key")).encode()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ops" in written
    assert secret not in written and job_secret not in written


async def test_a_jobs_token_dies_with_the_job(store: Store) -> None:
    job = (await store.submit(specification())).job
    claim = await store.claim(offer("here", 1))
    assert claim is not None
    first = await store.note_launch(claim, Handle(1, "x"), "key")
    second = await store.note_launch(claim, Handle(1, "x"), "key")
    assert await store.identify(first) is None, "a new launch ends the old secret"
    identity = await store.identify(second)
    assert identity is not None and identity.job_id == job.id
    await store.finish(claim, JobState.PREPARING, JobState.FAILED, error="x")
    assert await store.identify(second) is None


async def test_use_is_noted(store: Store) -> None:
    token = await store.create_token("ops")
    await store.identify(token.secret)
    assert (await store.list_tokens())[0].last_used_at is not None


async def test_makings_are_noted_once_in_order(store: Store) -> None:
    job = (await store.submit(specification())).job
    for _ in range(2):
        await store.note_run(job.id, "parent")
        await store.note_run(job.id, "child", parent_id="parent")
        await store.note_model(job.id, "m-1", "child")
        await store.note_version(job.id, "forest", "1")
    makings = await store.makings(job.id)
    assert [(run.run_id, run.parent_id) for run in makings.runs] == [
        ("parent", None),
        ("child", "parent"),
    ]
    assert [(model.model_id, model.run_id) for model in makings.models] == [("m-1", "child")]
    assert [(version.name, version.version) for version in makings.versions] == [("forest", "1")]
    assert (await store.get_job(job.id)).run_id == "parent"
    assert await store.job_of_run("child") == job.id
    assert await store.job_of_model("m-1") == job.id
    assert await store.job_of_run("other") is None

"""Requests: what is repeated, and what errors say."""

import json

import pytest
from aiohttp import web
from anyio import to_thread

from runnerd.client import Client, DaemonAway, Job, RequestRefused, Unauthenticated
from tests.client.conftest import Peer, cut, json_of

pytestmark = pytest.mark.anyio


async def submitted(peer: Peer) -> Job:
    def submit() -> Job:
        with Client(peer.url, "rnd_secret") as client:
            return client.submit(
                "/some/where/train.py", b"print(1)", experiment_name="e", model_name="m"
            )

    return await to_thread.run_sync(submit)


async def test_a_submission_is_repeated_under_one_key(peer: Peer) -> None:
    busy = json_of({"detail": "busy"}, status=503, Retry_After="0")
    peer.turns = [cut, busy, json_of({"job_id": "1"}, status=202)]

    assert (await submitted(peer))["job_id"] == "1"

    assert len(peer.seen) == 3
    assert len({request.headers["Idempotency-Key"] for request in peer.seen}) == 1
    assert len(set(peer.bodies)) == 1
    body = json.loads(peer.bodies[0])
    assert (body["script_name"], body["script_content"]) == ("train.py", "cHJpbnQoMSk=")
    assert "timeout" not in body
    assert peer.seen[0].headers["Authorization"] == "Bearer rnd_secret"


async def test_two_submissions_have_two_keys(peer: Peer) -> None:
    peer.turns = [json_of({"job_id": "1"}, status=202)]
    await submitted(peer)
    await submitted(peer)
    assert len({request.headers["Idempotency-Key"] for request in peer.seen}) == 2


async def test_a_registration_is_not_repeated_by_itself(peer: Peer) -> None:
    peer.turns = [cut]

    def register() -> None:
        with Client(peer.url) as client, pytest.raises(DaemonAway, match="connection broke"):
            client.register("m", "r")

    await to_thread.run_sync(register)
    assert len(peer.seen) == 1


async def test_a_refusal_carries_what_the_daemon_said(peer: Peer) -> None:
    errors = [{"loc": ["timeout"], "msg": "must be from 1 to 86400 seconds"}]
    problem = {"detail": "one field is wrong", "errors": errors}
    peer.turns = [json_of(problem, status=422, X_Request_Id="r-1")]

    with pytest.raises(RequestRefused, match="one field is wrong") as caught:
        await submitted(peer)

    refusal = caught.value
    assert (refusal.status, refusal.errors, refusal.request_id) == (422, tuple(errors), "r-1")


@pytest.mark.parametrize("status", [400, 403, 404, 409, 500])
async def test_an_error_without_problem_details_is_told_by_its_number(
    peer: Peer, status: int
) -> None:
    peer.turns = [json_of("nothing useful", status=status)]
    with pytest.raises(RequestRefused, match=str(status)):
        await submitted(peer)


async def test_a_missing_token_is_an_error_of_its_own(peer: Peer) -> None:
    peer.turns = [json_of({"detail": "no token"}, status=401)]
    with pytest.raises(Unauthenticated, match="no token"):
        await submitted(peer)


async def test_a_peer_that_is_no_daemon_is_not_taken_for_one(peer: Peer) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>", content_type="text/html")

    peer.turns = [page]
    with pytest.raises(DaemonAway, match="not runnerd"):
        await submitted(peer)


async def test_without_a_daemon_the_error_says_how_to_start_one(free_port: int) -> None:
    url = f"http://127.0.0.1:{free_port}"
    with Client(url) as client, pytest.raises(DaemonAway) as caught:
        client.status()
    assert url in str(caught.value)
    assert "runnerd serve" in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://[::1", "http://x:abc"])
async def test_a_url_that_is_no_http_address_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="not an http address"):
        Client(url)


async def test_a_url_without_scheme_is_http() -> None:
    with Client("127.0.0.1:8000/") as client:
        assert client.url == "http://127.0.0.1:8000"


async def test_names_are_quoted_into_the_path(peer: Peer) -> None:
    peer.turns = [json_of({})]
    with Client(peer.url) as client:
        await to_thread.run_sync(client.model, "a/b ü?")
    assert peer.seen[0].raw_path == "/mlops/models/a%2Fb%20%C3%BC%3F"


async def test_metrics_are_numbers_even_where_json_has_none(peer: Peer) -> None:
    metrics = [{"key": "loss", "value": 0.5}, {"key": "worst", "value": "NaN"}]
    peer.turns = [json_of({"run": {"data": {"metrics": metrics}}})]
    with Client(peer.url) as client:
        found = await to_thread.run_sync(client.run_metrics, "r")
    assert found["loss"] == 0.5
    assert found["worst"] != found["worst"]

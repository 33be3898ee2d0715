"""Who may ask what: tokens, pages of other sites, names that lead to loopback."""

from pathlib import Path

import pytest

from tests.api.daemon import JOBS, SUBMISSION, UPLOAD, Daemon, serving_daemon

pytestmark = pytest.mark.anyio


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_loopback_is_open_until_a_token_exists(daemon: Daemon) -> None:
    assert (await daemon.call("GET", JOBS)).status == 200
    token = await daemon.store.create_token("ci")
    refused = await daemon.call("GET", JOBS)
    assert refused.status == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert "runnerd token create" in refused.json["detail"]
    assert (await daemon.call("GET", JOBS, headers=bearer(token.secret))).status == 200
    await daemon.store.revoke_token("ci")
    assert (await daemon.call("GET", JOBS, headers=bearer(token.secret))).status == 401


async def test_a_browser_is_told_how_to_come_in(daemon: Daemon) -> None:
    await daemon.store.create_token("ci")
    for accept, told in (("text/html,*/*", True), ("application/json", False)):
        reply = await daemon.call("GET", "/docs", headers={"Accept": accept})
        assert reply.status == 401
        assert ("proxy" in reply.json["detail"]) is told


async def test_mlflow_clients_can_read_why_they_are_refused(daemon: Daemon) -> None:
    await daemon.store.create_token("ci")
    path = "/api/2.0/mlflow/runs/get"
    replies = {
        "UNAUTHENTICATED": await daemon.call("GET", path),
        "PERMISSION_DENIED": await daemon.call("GET", path, headers={"Host": "evil.example"}),
    }
    for code, reply in replies.items():
        assert reply.headers["Content-Type"] == "application/problem+json"
        assert reply.json["error_code"] == code
        assert reply.json["message"] == reply.json["detail"]
    assert "error_code" not in (await daemon.call("GET", JOBS)).json


async def test_health_needs_no_token(daemon: Daemon) -> None:
    await daemon.store.create_token("ci")
    for path in ("/healthz", "/readyz"):
        assert (await daemon.call("GET", path)).status == 200


@pytest.mark.parametrize(
    "credentials",
    ["Bearer nobody", "Bearer ", "Basic YTpi", "Bearer a b", "x" * 3000, "Bearer ü"],
)
async def test_a_bad_credential_is_refused_even_where_none_is_needed(
    daemon: Daemon, credentials: str
) -> None:
    reply = await daemon.call("GET", JOBS, headers={"Authorization": credentials})
    assert reply.status == 401


async def test_another_address_is_closed_without_tokens(data_dir: Path) -> None:
    async with serving_daemon(data_dir, loopback=False) as daemon:
        assert (await daemon.call("GET", JOBS)).status == 401


async def test_the_operator_may_open_it_to_all(data_dir: Path) -> None:
    server = {"allow_unauthenticated": True}
    async with serving_daemon(data_dir, server, loopback=False) as daemon:
        await daemon.store.create_token("ci")
        assert (await daemon.call("GET", JOBS)).status == 200
        assert (await daemon.call("GET", JOBS, headers=bearer("wrong"))).status == 401


@pytest.mark.parametrize("path", [JOBS, "/mlops/status", "/openapi.json", "/docs", "/mlops/models"])
async def test_a_jobs_token_reaches_nothing_of_ours(daemon: Daemon, path: str) -> None:
    await daemon.submit()
    running = await daemon.launch()
    assert (await daemon.call("GET", path, headers=bearer(running.secret))).status == 403
    await running.end()
    assert (await daemon.call("GET", path, headers=bearer(running.secret))).status == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_other_sites_change_nothing(daemon: Daemon, headers: dict[str, str]) -> None:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION, headers=headers)
    assert reply.status == 403
    assert (await daemon.call("GET", JOBS)).json["items"] == []


async def test_pages_of_ours_may(daemon: Daemon) -> None:
    headers = {"Origin": daemon.url, "Sec-Fetch-Site": "same-origin"}
    assert (await daemon.call("POST", UPLOAD, json=SUBMISSION, headers=headers)).status == 202


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "127.0.0.1:1.evil.example"],
)
async def test_a_foreign_name_for_loopback_is_refused(daemon: Daemon, host: str) -> None:
    reply = await daemon.call("GET", "/mlops/status", headers={"Host": host})
    assert reply.status == 403
    assert "public_url" in reply.json["detail"]


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "LOCALHOST", "127.0.0.1", "[::1]:80"])
async def test_the_names_of_loopback_are_ours(daemon: Daemon, host: str) -> None:
    assert (await daemon.call("GET", "/mlops/status", headers={"Host": host})).status == 200


async def test_the_public_name_is_ours(data_dir: Path) -> None:
    async with serving_daemon(data_dir, {"public_url": "https://jobs.example"}) as daemon:
        port = daemon.port
        url = f"http://127.0.0.1:{port}/mlops/status"
        async with daemon.session.get(url, headers={"Host": "jobs.example"}) as response:
            assert response.status == 200
            assert (await response.json())["mlflow_tracking_uri"] == "https://jobs.example"

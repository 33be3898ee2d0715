"""The OpenAPI document says what is there, all of it and nothing else."""

import re
from html.parser import HTMLParser

import pytest

from runnerd.api.app import ENDPOINTS, make_app
from tests.api.daemon import SUBMISSION, UPLOAD, Daemon

pytestmark = pytest.mark.anyio

OURS = ("/mlops/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs")


async def test_every_address_is_documented_and_the_other_way_round(daemon: Daemon) -> None:
    document = (await daemon.call("GET", "/openapi.json")).json
    assert document["openapi"].startswith("3.1")
    documented = {
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    }
    registered = {
        (route.method, re.sub(r":[^{}]+}", "}", route.resource.canonical))
        for route in make_app(daemon.services).router.routes()
        if route.resource is not None and route.resource.canonical.startswith(OURS)
    }
    assert documented == {(method, path) for method, path in registered if method != "HEAD"}


async def test_the_document_is_whole(daemon: Daemon) -> None:
    reply = await daemon.call("GET", "/openapi.json")
    document = reply.json
    schemas = document["components"]["schemas"]
    for name in re.findall(r'"#/components/schemas/([^"]+)"', reply.body.decode()):
        assert name in schemas
    names = [
        operation["operationId"]
        for operations in document["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names)) == len(ENDPOINTS)
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = {p["name"] for p in operation.get("parameters", ()) if p["in"] == "path"}
            assert declared == set(re.findall(r"{(\w+)}", path))
            assert {"401", "403", "500"} <= operation["responses"].keys()


async def test_the_example_of_a_submission_works(daemon: Daemon) -> None:
    schemas = (await daemon.call("GET", "/openapi.json")).json["components"]["schemas"]
    [example] = schemas["TrainingRequest"]["examples"]
    assert example.keys() >= SUBMISSION.keys()
    assert (await daemon.call("POST", UPLOAD, json=example)).status == 202


class Assets(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img"):
            self.found += [value for name, value in attrs if name in ("src", "href") and value]


async def test_the_page_takes_nothing_from_elsewhere(daemon: Daemon) -> None:
    page = await daemon.call("GET", "/docs")
    assert page.status == 200
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assets = Assets()
    assets.feed(page.body.decode())
    assert len(assets.found) == 2
    for asset in assets.found:
        assert asset.startswith("/docs/")
        reply = await daemon.call("GET", asset)
        assert reply.status == 200
        assert b"http://" not in reply.body and b"https://" not in reply.body

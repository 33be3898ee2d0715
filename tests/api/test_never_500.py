"""Whatever is sent, the daemon never answers 500."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from yarl import URL

from runnerd.api.app import ENDPOINTS
from tests.api.daemon import SUBMISSION, Daemon, serving_daemon

pytestmark = pytest.mark.anyio

EVIL = ["", "\x00", "ü", "../..", "%", "\ud800", "x" * 5000, "-1", "1e999", "true", "[]", "\r\n"]
VALUES: list[Any] = [None, True, -1, 10**40, 1.5, "", "\x00", "x" * 300, [], [[]], {}, {"": None}]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
BODIES: dict[str, dict[str, Any]] = {
    "/mlops/training/upload": SUBMISSION
    | {"requirements": ["a"], "environment_vars": {"A": "b"}, "timeout": 5, "tags": {"a": "b"}},
    "/mlops/registry": {"model_name": "m", "run_id": "r", "description": "d", "tags": {"a": "b"}},
    "/mlops/inference": {
        "model_name": "m",
        "model_version": "1",
        "inputs": {"a": [1]},
        "return_probabilities": True,
    },
}


def escaped(text: str) -> str:
    return quote_from_bytes(text.encode(errors="surrogatepass"), safe="")


def addresses(job_id: str) -> list[tuple[str, str]]:
    """Every address with every evil value in each of its gaps and parameters."""
    found = []
    for endpoint in ENDPOINTS:
        path = re.sub(r":[^{}]+}", "}", endpoint.path)
        good = path.replace("{job_id}", job_id).replace("{path}", "a/b").replace("{name}", "m")
        for evil in map(escaped, EVIL):
            found.append((endpoint.method, re.sub(r"{\w+}", evil, path)))
            found.append((endpoint.method, re.sub(r"{(?!job_id)\w+}", evil, good)))
            names = [parameter.name for parameter in endpoint.parameters] + [evil]
            found += [(endpoint.method, f"{good}?{name}={evil}") for name in names]
    return sorted(set(found))


async def test_no_address_fails(daemon: Daemon) -> None:
    job_id = await daemon.submit()
    await daemon.call("POST", f"/mlops/training/jobs/{job_id}/cancel")
    for method, path in addresses(job_id):
        url = URL(daemon.url + path, encoded=True)
        async with daemon.session.request(method, url) as reply:
            assert reply.status < 500, (method, path, await reply.text())


@pytest.mark.parametrize("path", BODIES)
async def test_no_value_of_a_field_fails(daemon: Daemon, path: str) -> None:
    for name in BODIES[path]:
        for value in [*VALUES, [VALUES], *({"a": v} for v in VALUES)]:
            body = json.dumps(BODIES[path] | {name: value}).encode()
            headers = {"Content-Type": "application/json"}
            reply = await daemon.call("POST", path, data=body, headers=headers)
            assert reply.status < 500, (name, value, reply.body)


@pytest.mark.parametrize("path", BODIES)
def test_no_body_fails(data_dir: Path, path: str) -> None:
    bodies: list[bytes] = []

    @settings(
        max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    @given(st.dictionaries(st.sampled_from(sorted(BODIES[path])), JSON), st.binary(max_size=50))
    def collect(changes: dict[str, Any], raw: bytes) -> None:
        bodies.extend([json.dumps(BODIES[path] | changes).encode(), raw])

    collect()

    async def send() -> None:
        async with serving_daemon(data_dir) as daemon:
            for body in bodies:
                for kind in ("application/json", "multipart/form-data; boundary=b"):
                    headers = {"Content-Type": kind}
                    reply = await daemon.call("POST", path, data=body, headers=headers)
                    assert reply.status < 500, (body, reply.body)

    anyio.run(send)

"""POST /mlops/training/upload: what is taken, what is refused, and in which words."""

import base64
import io
import json
from typing import Any

import aiohttp
import pytest

from runnerd.api.forms import split_requirements
from runnerd.api.scripts import safe_name
from tests.api.daemon import JOBS, SUBMISSION, UPLOAD, Daemon

pytestmark = pytest.mark.anyio

SOURCE = "import mlflow\n\nprint('ü', '$(x)')\n"
FIELDS = {
    "job_id",
    "script_name",
    "experiment_name",
    "model_name",
    "status",
    "run_id",
    "model_version",
    "error",
    "created_at",
    "started_at",
    "completed_at",
}


def encoded(source: str) -> str:
    return base64.b64encode(source.encode()).decode()


async def test_the_answer_has_the_fields_of_the_contract(daemon: Daemon) -> None:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION)
    answer = reply.json
    assert reply.status == 202
    assert answer.keys() == FIELDS | {"warnings"}
    assert answer["status"] == "queued"
    assert answer["created_at"].endswith("Z")
    assert {answer[name] for name in ("run_id", "model_version", "error", "started_at")} == {None}
    assert reply.headers["Location"] == f"{JOBS}/{answer['job_id']}"
    found = await daemon.call("GET", reply.headers["Location"])
    assert FIELDS | {"logs", "duration_seconds"} <= found.json.keys()
    assert found.json["logs"] == ""


@pytest.mark.parametrize(
    "content",
    [
        encoded(SOURCE),
        SOURCE,
        base64.encodebytes(SOURCE.encode()).decode(),
        base64.urlsafe_b64encode(SOURCE.encode()).decode(),
        encoded("\ufeff" + SOURCE),
    ],
    ids=["base64", "plain", "base64 in lines", "urlsafe", "byte order mark"],
)
async def test_a_script_comes_as_base64_or_as_it_is(daemon: Daemon, content: str) -> None:
    job = await daemon.store.get_job(await daemon.submit(script_content=content))
    assert job.specification.script == SOURCE


@pytest.mark.parametrize("content", ["pass", "x=1", "print(1)", "import os", "def broken(:\n"])
async def test_short_plain_text_is_not_taken_for_base64(daemon: Daemon, content: str) -> None:
    job = await daemon.store.get_job(await daemon.submit(script_content=content))
    assert job.specification.script == content


@pytest.mark.parametrize(
    "content",
    [
        encoded(SOURCE)[:-5],
        encoded(SOURCE) + "===",
        "!!!not-base64!!!",
        "this is not base64!!!",
        base64.b64encode(b"\xff\xfe\x00\x01" * 20).decode(),
        base64.b64encode("größe".encode("latin-1") * 20).decode(),
    ],
)
async def test_broken_base64_is_malformed(daemon: Daemon, content: str) -> None:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION | {"script_content": content})
    assert reply.status == 400, reply.body
    assert "base64" in reply.json["detail"]


async def test_everything_that_is_sent_arrives_unchanged(daemon: Daemon) -> None:
    awkward = "a\"b'c\nd$(e)`f`\\g\t${HOME} ü"
    job_id = await daemon.submit(
        requirements=["scikit-learn>=1,<2", "uvicorn[standard]; python_version >= '3.8'"],
        environment_vars={"AWKWARD": awkward, "_x1": ""},
        timeout=86400,
        tags={"team/a": awkward},
    )
    specification = (await daemon.store.get_job(job_id)).specification
    assert specification.environment_vars == {"AWKWARD": awkward, "_x1": ""}
    assert specification.tags == {"team/a": awkward}
    assert specification.requirements[0] == "scikit-learn>=1,<2"
    assert specification.timeout == 86400


async def test_the_timeout_is_300_seconds_if_left_out_or_null(daemon: Daemon) -> None:
    optional = dict.fromkeys(("timeout", "requirements", "environment_vars", "tags"))
    for changes in ({}, optional):
        job = await daemon.store.get_job(await daemon.submit(**changes))
        assert job.specification.timeout == 300
        assert job.specification.requirements == ()


@pytest.mark.parametrize(
    ("changes", "loc"),
    [
        ({"script_name": ""}, ["script_name"]),
        ({"script_name": "a\nb.py"}, ["script_name"]),
        ({"script_name": 5}, ["script_name"]),
        ({"script_name": "x" * 256}, ["script_name"]),
        ({"script_content": ""}, ["script_content"]),
        ({"script_content": " \n"}, ["script_content"]),
        ({"script_content": "print(1)\x00"}, ["script_content"]),
        ({"script_content": encoded("print(1)\x00")}, ["script_content"]),
        ({"script_content": None}, ["script_content"]),
        ({"experiment_name": "  "}, ["experiment_name"]),
        ({"experiment_name": "a\x00b"}, ["experiment_name"]),
        ({"model_name": "a/b"}, ["model_name"]),
        ({"model_name": "a:b"}, ["model_name"]),
        ({"model_name": ".."}, ["model_name"]),
        ({"requirements": "scikit-learn"}, ["requirements"]),
        ({"requirements": [1]}, ["requirements", 0]),
        ({"requirements": ["numpy", "-e ."]}, ["requirements", 1]),
        ({"requirements": ["git+https://example.org/x"]}, ["requirements", 0]),
        ({"requirements": ["x @ file:///etc"]}, ["requirements", 0]),
        ({"requirements": ["not a requirement"]}, ["requirements", 0]),
        ({"requirements": ["x"] * 1001}, ["requirements"]),
        ({"requirements": ["x" * 2001]}, ["requirements"]),
        ({"environment_vars": {"1A": "x"}}, ["environment_vars"]),
        ({"environment_vars": {"A=B": "x"}}, ["environment_vars"]),
        ({"environment_vars": {"A": 1}}, ["environment_vars", "A"]),
        ({"environment_vars": {"A": "x\x00"}}, ["environment_vars"]),
        ({"environment_vars": {"A": "x" * 200_000}}, ["environment_vars"]),
        ({"environment_vars": []}, ["environment_vars"]),
        ({"timeout": 0}, ["timeout"]),
        ({"timeout": -1}, ["timeout"]),
        ({"timeout": 86401}, ["timeout"]),
        ({"timeout": True}, ["timeout"]),
        ({"timeout": "300"}, ["timeout"]),
        ({"timeout": 1.5}, ["timeout"]),
        ({"timeout": 10**30}, ["timeout"]),
        ({"tags": {"a": None}}, ["tags", "a"]),
        ({"tags": {"": "x"}}, ["tags"]),
        ({"tags": {"a*": "x"}}, ["tags"]),
        ({"tags": {"a": "x" * 8001}}, ["tags"]),
        ({"tags": {"../a": "x"}}, ["tags"]),
        ({"tags": {str(n): "x" for n in range(101)}}, ["tags"]),
    ],
)
async def test_a_bad_field_is_named(
    daemon: Daemon, changes: dict[str, Any], loc: list[str | int]
) -> None:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION | changes)
    problem = reply.json
    assert reply.status == 422, problem
    assert reply.headers["Content-Type"].startswith("application/problem+json")
    assert problem["errors"][0]["loc"] == loc
    assert problem["detail"].endswith(".")
    assert problem["instance"] == reply.headers["X-Request-Id"]
    assert (await daemon.call("GET", JOBS)).json["items"] == []


async def test_variables_fit_into_a_process(daemon: Daemon) -> None:
    variables = {f"A{n}": "x" * 100_000 for n in range(11)}
    body = io.BytesIO(json.dumps(SUBMISSION | {"environment_vars": variables}).encode())
    headers = {"Content-Type": "application/json"}
    reply = await daemon.call("POST", UPLOAD, data=body, headers=headers)
    assert reply.status == 422
    assert "1048576 bytes in all" in reply.json["detail"]


@pytest.mark.parametrize("name", ["script_name", "script_content", "experiment_name", "model_name"])
async def test_a_missing_field_is_named(daemon: Daemon, name: str) -> None:
    body = {key: value for key, value in SUBMISSION.items() if key != name}
    reply = await daemon.call("POST", UPLOAD, json=body)
    assert reply.status == 422
    assert f"`{name}` is required" in reply.json["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": }',
        b"\xff\xfe",
        b'{"script_name": "\\ud800"}',
        b'{"script_name": "\xff"}',
        b"[" * 100_000,
    ],
)
async def test_broken_json_is_malformed(daemon: Daemon, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await daemon.call("POST", UPLOAD, data=body, headers=headers)
    assert reply.status == 400
    assert "JSON" in reply.json["detail"]


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"1"])
async def test_json_that_is_no_object_is_invalid(daemon: Daemon, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    reply = await daemon.call("POST", UPLOAD, data=body, headers=headers)
    assert reply.status == 422
    assert "object" in reply.json["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "nonsense"])
async def test_another_content_type_is_told_what_to_send(daemon: Daemon, kind: str) -> None:
    body = json.dumps(SUBMISSION)
    reply = await daemon.call("POST", UPLOAD, data=body, headers={"Content-Type": kind})
    assert reply.status == 415
    assert "application/json" in reply.json["detail"]


async def test_a_compressed_body_is_refused(daemon: Daemon) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    reply = await daemon.call("POST", UPLOAD, data=b"\x1f\x8b", headers=headers)
    assert reply.status == 415


async def test_unknown_and_overridden_fields_are_named_in_warnings(daemon: Daemon) -> None:
    body = SUBMISSION | {
        "colour": 1,
        "environment_vars": {"MLFLOW_TRACKING_URI": "x", "RUNNERD_JOB_ID": "y", "OK": "z"},
        "tags": {"runnerd.job_id": "x"},
    }
    warnings = (await daemon.call("POST", UPLOAD, json=body)).json["warnings"]
    told = " ".join(warnings)
    for name in ("colour", "MLFLOW_TRACKING_URI", "RUNNERD_JOB_ID", "runnerd.job_id"):
        assert name in told
    assert "OK" not in told


async def test_a_key_gives_the_first_answer_again(daemon: Daemon) -> None:
    headers = {"Idempotency-Key": "k 1"}
    first = await daemon.call("POST", UPLOAD, json=SUBMISSION, headers=headers)
    running = await daemon.launch()
    again = await daemon.call("POST", UPLOAD, json=SUBMISSION, headers=headers)
    assert (again.status, again.json) == (first.status, first.json)
    assert running.job_id == first.json["job_id"]
    changed = SUBMISSION | {"timeout": 10}
    conflict = await daemon.call("POST", UPLOAD, json=changed, headers=headers)
    assert conflict.status == 409
    assert "Idempotency-Key" in conflict.json["detail"]
    assert len((await daemon.call("GET", JOBS)).json["items"]) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "ü"])
async def test_a_bad_key_is_refused(daemon: Daemon, key: str) -> None:
    reply = await daemon.call("POST", UPLOAD, json=SUBMISSION, headers={"Idempotency-Key": key})
    assert reply.status == 422


def form(**changes: str) -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)
    fields = {"experiment_name": "iris", "model_name": "forest"} | changes
    for name, value in fields.items():
        data.add_field(name, value)
    return data


async def test_a_form_says_the_same(daemon: Daemon) -> None:
    data = form(
        requirements="scikit-learn>=1,<2, pandas",
        timeout="60",
        environment_vars='{"A": "1"}',
        tags='{"team": "x"}',
        colour="1",
    )
    data.add_field("requirements", "numpy")
    data.add_field("file", SOURCE.encode(), filename="train me.py", content_type="text/x-python")
    reply = await daemon.call("POST", UPLOAD, data=data)
    assert reply.status == 202, reply.body
    assert "colour" in reply.json["warnings"][0]
    specification = (await daemon.store.get_job(reply.json["job_id"])).specification
    assert specification.script == SOURCE
    assert specification.script_name == "train me.py"
    assert specification.requirements == ("scikit-learn>=1,<2", "pandas", "numpy")
    assert specification.environment_vars == {"A": "1"}
    assert specification.tags == {"team": "x"}
    assert specification.timeout == 60


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"timeout": "soon"}, 422),
        ({"timeout": "0"}, 422),
        ({"tags": "{"}, 422),
        ({"tags": "[]"}, 422),
        ({"tags": '{"a": "\\ud800"}'}, 422),
        ({"environment_vars": '{"A": 1}'}, 422),
        ({"requirements": "-e ."}, 422),
        ({"model_name": "a/b"}, 422),
    ],
)
async def test_a_bad_form_field_is_refused(
    daemon: Daemon, changes: dict[str, str], status: int
) -> None:
    data = form(**changes)
    data.add_field("file", b"pass", filename="train.py")
    reply = await daemon.call("POST", UPLOAD, data=data)
    assert reply.status == status, reply.body
    assert next(iter(changes)) in reply.body.decode()


@pytest.mark.parametrize(
    ("content", "status"), [(None, 422), (b"\xff\xfe", 422), (b"", 422), (b"a\x00", 422)]
)
async def test_a_form_needs_a_readable_file(
    daemon: Daemon, content: bytes | None, status: int
) -> None:
    data = form(script_name="train.py")
    data.add_field("tags", "{}", content_type="text/plain")
    if content is not None:
        data.add_field("file", content, filename="train.py")
    reply = await daemon.call("POST", UPLOAD, data=data)
    assert reply.status == status
    assert reply.json["errors"][0]["loc"] == ["file"]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"not a form"),
        ("multipart/form-data; boundary=b", b"--b\r\nContent-Disposition: form-data\r\n\r\nx"),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="tags"\r\n\r\n\xff\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\nX: " + b"x" * 100_000 + b"\r\n\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"X: y\r\n" * 5000 + b"\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\nx\r\n--b--\r\n',
        ),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="_charset_"\r\n\r\n'
            + b"x" * 40
            + b"\r\n--b--\r\n",
        ),
    ],
)
async def test_a_broken_form_is_malformed(daemon: Daemon, kind: str, body: bytes) -> None:
    reply = await daemon.call("POST", UPLOAD, data=body, headers={"Content-Type": kind})
    assert reply.status == 400, reply.body
    assert "form" in reply.json["detail"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a, b", ["a", "b"]),
        ("a>=1,<2,b", ["a>=1,<2", "b"]),
        ("a>=1, !=1.5 , b[x,y]==2", ["a>=1, !=1.5", "b[x,y]==2"]),
        ("a (>=1,<2), b", ["a (>=1,<2)", "b"]),
        ("a; python_version in '3.8,3.9', b", ["a; python_version in '3.8,3.9'", "b"]),
        (" ,a,, b,", ["a", "b"]),
        ("", []),
    ],
)
def test_requirements_are_split_between_them_only(text: str, expected: list[str]) -> None:
    assert split_requirements(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train.py", "train.py"),
        ("../../etc/cron.d/x.py", "x.py"),
        ("C:\\jobs\\train.py", "train.py"),
        ("-rf", "rf.py"),
        (".hidden", "hidden.py"),
        ("..", "script.py"),
        ("Größe 1.py", "Größe 1.py"),
        ("x" * 255, "x" * 200 + ".py"),
        ("a/", "script.py"),
    ],
)
def test_a_display_name_becomes_a_file_name(name: str, expected: str) -> None:
    assert safe_name(name) == expected

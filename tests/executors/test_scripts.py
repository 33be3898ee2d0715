"""What a script sees of the world, and what the world sees of its output."""

import json
from pathlib import Path

import pytest

from runnerd.executors.subprocess import SubprocessExecutor
from runnerd.jobs import EnvironmentPlan
from tests.executors.attempts import outcome_of, output_of, request_for

pytestmark = pytest.mark.anyio

TELL = """
import json, os, signal, sys
print(json.dumps({
    "variables": dict(os.environ), "argv": sys.argv, "prefix": sys.prefix, "cwd": os.getcwd(),
    "files": [os.readlink(f"/proc/self/fd/{fd}") for fd in range(3)],
    "others": [fd for fd in range(3, 100) if os.path.exists(f"/proc/self/fd/{fd}")],
    "blocked": [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
}))
"""


async def test_a_script_sees_its_own_variables_only(
    executor: SubprocessExecutor,
    plan: EnvironmentPlan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_DAEMON", "s3cret")
    awkward = "\"double\" 'single'\n$(touch x) `id` ${HOME} \\back\\ \t ünïcode %s"
    request = request_for(
        tmp_path / "a", TELL, plan, variables={"AWKWARD": awkward, "PATH": "/somewhere"}
    )
    handle = await executor.launch(request)
    await outcome_of(executor, handle)
    told = json.loads(await output_of(executor, handle))
    environment = Path(plan.root) / plan.key
    told["variables"].pop("LC_CTYPE", None)
    assert told["variables"] == {
        "AWKWARD": awkward,
        "PATH": f"{environment}/bin:/somewhere",
        "VIRTUAL_ENV": str(environment),
        "RUNNERD_ATTEMPT_ID": request.attempt_id,
    }
    assert told["prefix"] == str(environment)


async def test_a_script_gets_no_file_and_no_signal_mask_of_the_runner(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", TELL, plan))
    await outcome_of(executor, handle)
    told = json.loads(await output_of(executor, handle))
    output = str(tmp_path / "a" / "output.log")
    assert told["files"] == ["/dev/null", output, output]
    assert told["others"] == []
    assert told["blocked"] == []
    assert told["cwd"] == str(tmp_path / "a" / "work")


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("train.py", "train.py"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\evil.py", "evil.py"),
        ("-c", "c"),
        ("..", "script.py"),
        ("a b;rm -rf $(x)\n.py", "a b_rm -rf __x__.py"),
        ("modèle.py", "modèle.py"),
        ("x" * 300 + ".py", "x" * 97 + ".py"),
    ],
)
async def test_a_script_name_can_not_leave_its_folder(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path, given: str, used: str
) -> None:
    handle = await executor.launch(request_for(tmp_path / "a", TELL, plan, script_name=given))
    outcome = await outcome_of(executor, handle)
    assert outcome.succeeded
    assert json.loads(await output_of(executor, handle))["argv"] == [used]
    assert [path.name for path in (tmp_path / "a" / "work").iterdir()] == [used]


async def test_output_that_is_no_text_arrives_byte_for_byte(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = "import os\nos.write(1, bytes(range(256)))\nos.write(2, b'\\xff\\xfe')"
    handle = await executor.launch(request_for(tmp_path / "a", script, plan))
    await outcome_of(executor, handle)
    assert await output_of(executor, handle) == bytes(range(256)) + b"\xff\xfe"
    assert await executor.read_log(handle, 254, 3) == b"\xfe\xff\xff"
    assert await executor.read_log(handle, 258, 3) == b""


async def test_200_000_lines_are_whole(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    script = "for number in range(200_000): print('line', number)"
    request = request_for(tmp_path / "a", script, plan, log_limit=10**8, variables={})
    handle = await executor.launch(request)
    assert (await outcome_of(executor, handle)).succeeded
    expected = "".join(f"line {number}\n" for number in range(200_000)).encode()
    assert await executor.log_size(handle) == len(expected)
    assert await output_of(executor, handle) == expected


async def test_a_script_can_not_be_started_with_a_variable_that_no_process_can_have(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    request = request_for(tmp_path / "a", TELL, plan, variables={"HUGE": "x" * 3_000_000})
    outcome = await outcome_of(executor, await executor.launch(request))
    assert outcome.cause == "launch_failed"
    assert "Argument list too long" in outcome.detail
    assert outcome.script_started_at is None


async def test_the_requests_secrets_are_private_and_gone_after_release(
    executor: SubprocessExecutor, plan: EnvironmentPlan, tmp_path: Path
) -> None:
    folder = tmp_path / "a"
    handle = await executor.launch(request_for(folder, "print('kept')", plan))
    assert (folder / "request.json").stat().st_mode & 0o077 == 0
    await outcome_of(executor, handle)
    for _ in range(2):
        await executor.release(handle)
    assert not (folder / "request.json").exists()
    assert not (folder / "work").exists()
    assert await output_of(executor, handle) == b"kept\n"

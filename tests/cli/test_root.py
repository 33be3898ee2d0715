"""What every command promises: help with an example, errors in one sentence, a quick start."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from runnerd import __version__
from runnerd.cli.root import COMMANDS, root
from tests.cli.conftest import Run


def commands(group: click.Group, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


ALL = dict(commands(root))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_has_help_with_an_example(path: tuple[str, ...]) -> None:
    command = ALL[path]
    text = command.get_help(click.Context(command, info_name=f"runnerd {' '.join(path)}"))
    assert "Example:" in text
    assert f"runnerd {path[0]}" in text.split("Example:")[1]
    assert all(option.help for option in command.params if isinstance(option, click.Option))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_can_answer_in_json(path: tuple[str, ...]) -> None:
    command = ALL[path]
    if isinstance(command, click.Group) or path[0] in ("serve", "completion"):
        return
    assert "--json" in {name for option in command.params for name in option.opts}


def test_the_help_lists_every_command(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for name, (_, summary) in COMMANDS.items():
        assert name in ran.out
        assert summary in ran.out


def test_the_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, click\nfrom runnerd.cli.root import root\n"
        "root.main(['--help'], standalone_mode=False)\n"
        "heavy = {'httpx', 'rich', 'aiohttp', 'sqlalchemy', 'pydantic', 'anyio', 'uv'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("imported: []")


@pytest.mark.parametrize("command", [("jobs",), ("models",), ("job", "0" * 32)])
def test_a_client_command_imports_nothing_of_the_daemon(command: tuple[str, ...]) -> None:
    place, _ = COMMANDS[command[0]]
    code = (
        f"import sys, {place.partition(':')[0]}\n"
        "heavy = {'aiohttp', 'sqlalchemy', 'pydantic', 'runnerd.daemon', 'runnerd.settings'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version").out == f"runnerd {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("jobs", "--status", "lost"), "'lost' is not one of"),
        (("jobs", "--limit", "0"), "0 is not in the range"),
        (("job", "xyz"), "'xyz' is not a job id"),
        (("submit", "nothing.py"), "'nothing.py' does not exist"),
        (("--url", "ftp://x", "status"), "not an http address"),
        (("predict", "m", "--inputs", "{"), "--inputs is not JSON"),
        (("predict", "m", "--inputs", "[1]"), "must be a JSON object"),
        (("predict", "m", "--inputs", "@nothing.json"), "can't read nothing.json"),
        (("serve", "--port", "70000"), "70000 is not in the range"),
    ],
)
def test_wrong_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...], words: str) -> None:
    ran = run(*arguments)
    assert ran.code == 2
    assert words in ran.err
    assert ran.err.splitlines()[-1].startswith("Error: ")
    assert ran.out == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("jobs", "--json"),
        ("logs", "-f", "0" * 32),
        ("cancel", "0" * 32),
        ("models", "m"),
        ("predict", "m", "--inputs", '{"x": [1]}'),
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_a_daemon_the_error_says_how_to_start_one(
    run: Run, arguments: tuple[str, ...], closed_port: int
) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    ran = run(*arguments, RUNNERD_URL=url)
    assert ran.code == 1
    assert ran.err.startswith(f"Error: no runnerd answers at {url} (connection refused)")
    assert "runnerd serve" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_the_address_can_follow_the_command(run: Run, closed_port: int) -> None:
    ran = run("status", "--url", f"http://127.0.0.1:{closed_port}", RUNNERD_URL="http://127.0.0.2")
    assert f"http://127.0.0.1:{closed_port} " in ran.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_call_runnerd(run: Run, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == 0
    assert f"_RUNNERD_COMPLETE={shell}_complete" in ran.out


def test_completion_completes(run: Run) -> None:
    ran = run(_RUNNERD_COMPLETE="bash_complete", COMP_WORDS="runnerd to", COMP_CWORD="1")
    assert ran.out.split() == ["plain,token"]

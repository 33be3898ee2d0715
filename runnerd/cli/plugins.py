"""`runnerd plugins`."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.checks.plugins import check_plugin
from runnerd.cli.checks.showing import show
from runnerd.cli.configuration import loaded_settings, settings_options, usable_plugins
from runnerd.cli.connection import connected
from runnerd.cli.failures import FAILED
from runnerd.cli.output import listing, print_json, state, stderr, stdout
from runnerd.cli.scaffold import KINDS, Kind, NameUnfit, make_plugin
from runnerd.client import DaemonAway
from runnerd.plugins.installed import Installed
from runnerd.settings import Loaded


@click.group
def plugins() -> None:
    """List, check and begin plugins.

    \b
    Example:
      runnerd plugins list
      runnerd plugins check s3
    """


@plugins.command("list")
@click.option("--installed", is_flag=True, help="Ask no daemon: look at this installation.")
@click.option("--config", type=click.Path(path_type=Path), help="The settings file.")
@json_option
@client_options
def list_plugins(address: Address, *, installed: bool, config: Path | None, as_json: bool) -> None:
    """List the plugins: version, where from, hooks, and how they are.

    A running daemon is asked for its own; where there is none, what is installed beside this
    command is shown.

    \b
    Example:
      runnerd plugins list
      runnerd plugins list --installed --json
    """
    found = None if installed else _asked(address)
    if found is None:
        settings = loaded_settings(config, {}).settings
        found = [_told(each) for each in usable_plugins(settings).installed]
    if as_json:
        print_json(found)
        return
    table = listing("Plugin", "Version", "From", "Standing", "Used as", "Hooks", "")
    for each in found:
        health = each["health"]
        standing = health["condition"] if health else each["standing"]
        source = "built in" if each["built_in"] else f"{each['distribution']} in {each['place']}"
        table.add_row(
            each["name"],
            each["version"],
            source,
            state(standing),
            ", ".join(each["used_as"]),
            ", ".join(hook.removeprefix("runnerd_") for hook in each["hooks"]),
            _remark(each),
        )
    stdout().print(table)


def _asked(address: Address) -> list[dict[str, Any]] | None:
    with connected(address) as client:
        try:
            return client.plugins()
        except DaemonAway as away:
            note = f"no daemon answers at {away.url}: this is what is installed here"
            stderr().print(note, style="dim")
            return None


def _told(plugin: Installed) -> dict[str, Any]:
    """Describe a plugin as a daemon would that has not used it yet."""
    described = asdict(plugin)
    described.pop("tally")
    return {**described, "hooks": list(plugin.hooks), "used_as": [], "health": None, "calls": None}


def _remark(plugin: dict[str, Any]) -> str:
    remarks = [plugin["why"], plugin["warning"]]
    if plugin["health"]:
        remarks.append(plugin["health"]["detail"])
    calls = plugin["calls"]
    if calls and (calls["failed"] or calls["missed"]):
        remarks.append(f"{calls['failed']} calls failed, {calls['missed']} missed")
        remarks.append(calls["last_failure"])
    return "; ".join(filter(None, remarks))


@plugins.command
@click.argument("name")
@json_option
@settings_options
def check(loaded: Loaded, *, name: str, as_json: bool) -> int:
    """Try a plugin with the settings in force, and say what to do about what is wrong.

    It is built, opened and used: a storage keeps, finds and deletes an object of the check, a
    tracker is asked for its census, an executor is probed. The exit code is 1 where something is
    wrong.

    \b
    Example:
      runnerd plugins check s3
      runnerd plugins check mlflow --json
    """
    findings = []
    for finding in check_plugin(name, loaded.settings):
        findings.append(finding)
        if not as_json:
            show(stdout(), finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    return FAILED if any(finding.verdict == "fail" for finding in findings) else 0


@plugins.command
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default="storage",
    show_default=True,
    help="What it is to be; a listener hears of jobs, environments and models.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to put it.  [default: runnerd-NAME]"
)
@json_option
def new(name: str, kind: Kind, folder: Path | None, *, as_json: bool) -> None:
    """Begin a plugin: a distribution with settings, tests, a CI file and a README.

    It works and passes its tests as it is made; what remains is to make it yours.

    \b
    Example:
      runnerd plugins new shelf --kind storage
      cd runnerd-shelf && pip install -e '.[test]' && pytest
    """
    folder = folder or Path(f"runnerd-{name}")
    try:
        written = make_plugin(name, kind, folder)
    except NameUnfit as error:
        raise click.UsageError(str(error)) from error
    except FileExistsError as error:
        raise click.ClickException(f"{folder} is there already: choose another folder") from error
    except OSError as error:
        raise click.ClickException(f"{folder} can't be written: {error.strerror}") from error
    if as_json:
        print_json({"folder": str(folder), "files": [str(path) for path in written]})
        return
    for path in written:
        click.echo(path)
    click.echo(f"\nNext: cd {folder} && pip install -e '.[test]' && pytest", err=True)

"""`runnerd doctor`."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.checks.finding import Finding
from runnerd.cli.checks.machine import machine
from runnerd.cli.checks.reach import reach
from runnerd.cli.checks.service import service
from runnerd.cli.checks.showing import show
from runnerd.cli.configuration import loaded_settings
from runnerd.cli.failures import FAILED
from runnerd.cli.output import print_json, stdout


@click.command
@click.option("--config", type=click.Path(path_type=Path), help="The settings file.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The daemon's folder.")
@json_option
@client_options
def doctor(address: Address, *, config: Path | None, data_dir: Path | None, as_json: bool) -> int:
    """Check this machine and the daemon, and say what to do about what is wrong.

    The exit code is 1 where something is.

    \b
    Example:
      runnerd doctor
      runnerd doctor --json
    """
    console = stdout()
    findings = []
    for finding in _findings(address, config, data_dir):
        findings.append(finding)
        if not as_json:
            show(console, finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    return FAILED if any(finding.verdict == "fail" for finding in findings) else 0


def _findings(address: Address, config: Path | None, data_dir: Path | None) -> Iterator[Finding]:
    try:
        loaded = loaded_settings(config, {"data_dir": data_dir})
    except click.ClickException as error:
        yield Finding("settings", "fail", error.format_message(), "correct them")
    else:
        origins = sorted(set(loaded.sources.values()) - {"default"})
        yield Finding("settings", "ok", f"from {', '.join(origins) or 'defaults alone'}")
        yield from machine(loaded.settings)
        yield from reach(loaded.settings, loaded.settings.server.public_url or address.url)
    yield from service(address)

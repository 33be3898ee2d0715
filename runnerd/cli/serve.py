"""`runnerd serve`."""

from pathlib import Path

import click

from runnerd.cli.configuration import loaded_settings
from runnerd.daemon import DaemonRefuses, run


@click.command
@click.option("--data-dir", type=click.Path(path_type=Path), help="The daemon's folder.")
@click.option("--host", help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 picks a free one.")
@click.option("--config", type=click.Path(path_type=Path), help="The settings file.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="The least level that is logged.",
)
@click.option("--safe-mode", is_flag=True, help="Load the built-in plugins only.")
def serve(
    data_dir: Path | None,
    host: str | None,
    port: int | None,
    config: Path | None,
    log_level: str | None,
    *,
    safe_mode: bool,
) -> None:
    """Run the daemon until it is stopped.

    Settings come from runnerd.toml, variables that begin with RUNNERD_, and these options;
    `runnerd config` shows them.

    \b
    Example:
      runnerd serve
      runnerd serve --data-dir /srv/runnerd --host 0.0.0.0 --port 8080
    """
    flags = {
        "data_dir": data_dir,
        "server.host": host,
        "server.port": port,
        "log.level": log_level,
        "loader.safe_mode": safe_mode or None,
    }
    try:
        run(loaded_settings(config, flags))
    except DaemonRefuses as refusal:
        raise click.ClickException(str(refusal)) from refusal

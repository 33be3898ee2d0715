"""The settings as commands on the daemon's own machine load them."""

import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel, ConfigDict

from runnerd.log import configure
from runnerd.plugins.loader import Plugins, load_plugins
from runnerd.settings import Loaded, Settings, SettingsInvalid, load


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take `--config` and `--data-dir`, and hand on the settings that come of them."""

    @click.option("--config", type=click.Path(path_type=Path), help="The settings file.")
    @click.option("--data-dir", type=click.Path(path_type=Path), help="The daemon's folder.")
    @functools.wraps(function)
    def with_settings(
        *args: Any, config: Path | None, data_dir: Path | None, **options: Any
    ) -> Any:
        return function(loaded_settings(config, {"data_dir": data_dir}), *args, **options)

    return with_settings


def loaded_settings(
    config: Path | None, flags: Mapping[str, Any], environ: Mapping[str, str] = os.environ
) -> Loaded:
    """Load and check the settings, plugins' tables too; what is wrong ends the command.

    They are read twice: first to learn which plugins may be asked what their tables take.
    """
    configure("warning", "console")
    try:
        first = load(config=config, environ=environ, flags=flags)
        known = plugin_models(first.settings)
        return load(config=config, environ=environ, flags=flags, known_plugins=known)
    except SettingsInvalid as error:
        raise click.ClickException(in_words(error)) from error


class _AnyTable(BaseModel):
    model_config = ConfigDict(extra="allow")


def plugin_models(settings: Settings) -> Mapping[str, type[BaseModel]]:
    """Give the model of every plugin's table; of plugins that have none, one that takes all."""
    plugins = usable_plugins(settings)
    names = [*plugins.names(), *plugins.unusable]
    return dict.fromkeys(names, _AnyTable) | plugins.settings_models()


def usable_plugins(settings: Settings) -> Plugins:
    """Give the plugins of this installation, loaded as these settings want it."""
    return _loaded(settings.loader.admission())


_loaded = functools.cache(load_plugins)  # a command asks more than once


def in_words(error: SettingsInvalid) -> str:
    """Give what is wrong with settings, one fault a line."""
    if len(error.problems) == 1:
        return error.problems[0]
    return "\n  - ".join([f"{len(error.problems)} settings are wrong:", *error.problems])

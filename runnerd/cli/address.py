"""Where the daemon is and with which token: the options of every client command."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

URL_VARIABLE = "RUNNERD_URL"


@dataclass(frozen=True, slots=True)
class Address:
    """The daemon's address and the token that it is sent."""

    url: str
    token: str | None


def client_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Take `--url` and `--token` after the command's name too, and hand on an Address."""

    @click.option("--url", help="The daemon's address.  [env var: RUNNERD_URL]")
    @click.option("--token", help="The daemon's token.  [env var: RUNNERD_TOKEN]")
    @click.pass_obj
    @functools.wraps(function)
    def with_address(
        outer: Address, /, *args: Any, url: str | None, token: str | None, **options: Any
    ) -> Any:
        return function(Address(url or outer.url, token or outer.token), *args, **options)

    return with_address


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")

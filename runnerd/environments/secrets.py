"""Keeping the credentials of package indexes out of everything that people or files keep."""

import re

_USERINFO = re.compile(r"(?<=://)[^/\s'\"@]*(?:@[^/\s'\"@]*)*@")
_LOOSE_USERINFO = re.compile(r"(?<=://)[^/\r\n]*@")


def without_credentials(text: str) -> str:
    """Cut ``user:password@`` out of every URL in a text."""
    return _USERINFO.sub("", text)


def address_of(url: str) -> str:
    """Give a single URL without credentials, however badly those are written."""
    return _LOOSE_USERINFO.sub("", url)


def secret_parts(url: str) -> tuple[str, ...]:
    """Give the pieces of a URL that must never be shown: its userinfo, user and password."""
    found = _LOOSE_USERINFO.search(url)
    if found is None:
        return ()
    userinfo = found.group().removesuffix("@")
    _, _, password = userinfo.partition(":")
    return tuple(part for part in (found.group(), userinfo, password) if part)

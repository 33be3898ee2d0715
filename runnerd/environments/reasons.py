"""What uv printed, turned into sentences for people."""

import re
from collections.abc import Sequence

from packaging.requirements import Requirement

from runnerd.environments.secrets import secret_parts, without_credentials

_LONGEST = 2000
_AWAY = re.compile(
    r"error sending request|HTTP status server error|tcp connect error|dns error"
    r"|operation timed out|connection (reset|closed)|Connection refused"
    r"|lack of valid authentication credentials|429 Too Many Requests|invalid value",
    re.IGNORECASE,
)
_ORNAMENT = re.compile(r"\x1b\[[0-9;]*m|[│├╰╭─▶×]+")
_OUTPUT = re.compile(r"^\s*\[std(?:out|err)\]\s*$", re.MULTILINE)
_PROGRESS = re.compile(r"\A.*?^(?=error:)", re.DOTALL | re.MULTILINE)
_LABEL = re.compile(r"\b(error|cause|caused by): *", re.IGNORECASE)
_NOISE = re.compile(
    r"^: *|No solution found when resolving dependencies *:? *"
    r"| Otherwise, either add it to your `pyproject\.toml` .*"
    r"|For more information, try '--help'\.?"
    r"|error sending request for url \([^)]*\) *: *|client error \(Connect\) *: *"
)


def is_away(printed: str) -> bool:
    """Tell whether the resolver failed because a package index did not serve it."""
    return _AWAY.search(printed) is not None


def redacted(text: str, index_urls: Sequence[str]) -> str:
    """Cut every credential of the indexes, and of any other URL, out of a text."""
    for url in index_urls:
        for part in sorted(secret_parts(url), key=len, reverse=True):
            text = text.replace(part, "")
    return without_credentials(text)


def condensed(printed: str) -> str:
    """Give the reason that uv printed as sentences on one line, hints last."""
    plain = _PROGRESS.sub("", _ORNAMENT.sub(" ", printed))
    body, *hints = re.split(r"^\s*hint: *", plain, flags=re.MULTILINE)
    reason = _NOISE.sub("", _one_line(_LABEL.sub(": ", _without_output(body)))).replace(" : ", ": ")
    said = [reason.strip(" :"), *(_NOISE.sub("", _one_line(hint)) for hint in hints)]
    whole = " ".join(_sentence(part) for part in said if part)
    return whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}…"


def with_cure(reason: str, base: Sequence[str]) -> str:
    """Add, where the base set takes part in a conflict, how a script gets around it."""
    for line in base:
        requirement = Requirement(line)
        if re.search(rf"require {re.escape(requirement.name)}(?![\w-])", reason):
            return (
                f"{reason} {line} comes from the daemon's base set: "
                f"name a version of {requirement.name} in the requirements to choose another."
            )
    return reason


def _without_output(text: str) -> str:
    """Keep, of the output of a package's own build, its last line."""
    said, *outputs = _OUTPUT.split(text)
    last = outputs[-1].strip().rpartition("\n")[2] if outputs else ""
    return f"{said}: {last}" if last else said


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _sentence(text: str) -> str:
    start = text[:1].upper() + text[1:]
    return start if start.endswith((".", "!", "?")) else f"{start}."

"""Requirement lines: what is taken at submission, and how they join the base set."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from runnerd.environments.errors import RequirementInvalid
from runnerd.environments.secrets import without_credentials

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_OPTION = re.compile(r"(^|\s)--?[A-Za-z]")
_COMMENT = re.compile(r"(^|\s)#")
_ARCHIVE = re.compile(r"\.(whl|egg|zip|tgz|tar(\.\w+)?)$", re.IGNORECASE)
_PATH = re.compile(r"^(\.{0,2}[/\\]|\.{1,2}$|~|[A-Za-z]:[/\\])")
_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:(//|[^:])")

_EXAMPLE = "write it like `pandas>=2,<3`"
_NAMED = "write it as `name @ URL`, with file:///full/path for a file"
_NOT_ALLOWED = (
    "name a package of the index instead, or let the operator set environments.allow_urls"
)


def check_requirements(lines: Sequence[str], *, allow_urls: bool) -> None:
    """Check that every line is one PEP 508 requirement of a package index.

    ``allow_urls`` also takes direct references (``name @ URL``). Options, comments and
    ``${VARIABLES}`` are never taken. Raises ``RequirementInvalid`` for the first bad line.
    """
    for index, line in enumerate(lines):
        fault = _fault(line.strip(" \t"), allow_urls=allow_urls)
        if fault:
            shown = without_credentials(line if len(line) <= 200 else f"{line[:200]}…")
            raise RequirementInvalid(index, line, f"Requirement {index + 1} ({shown!r}) {fault}.")


def _fault(line: str, *, allow_urls: bool) -> str | None:
    return _fault_of_form(line) or _fault_of_meaning(line, allow_urls=allow_urls)


def _fault_of_form(line: str) -> str | None:
    if not line:
        return "is empty: remove it"
    if _CONTROL.search(line):
        return "holds a line break or another control character: give one requirement per item"
    if "${" in line:
        return "holds a variable, and variables are not expanded: write the value itself"
    if _COMMENT.search(line):
        return "holds a comment: leave out the # and what follows it"
    if _OPTION.search(line):
        return (
            "holds an option: only package requirements are taken, "
            "and package indexes are for the operator to configure"
        )
    return None


def _fault_of_meaning(line: str, *, allow_urls: bool) -> str | None:
    if _PATH.match(line):
        return f"is a path: {_NAMED if allow_urls else _NOT_ALLOWED}"
    if _ADDRESS.match(line):
        return f"is a URL: {_NAMED if allow_urls else _NOT_ALLOWED}"
    try:
        requirement = Requirement(line)
    except InvalidRequirement as invalid:
        reason = str(invalid).splitlines()[0].rstrip(".")
        return f"is not a requirement by PEP 508 ({reason}): {_EXAMPLE}"
    if requirement.url is None:
        return _fault_of_name(requirement.name, allow_urls=allow_urls)
    if not allow_urls:
        return f"points to a URL or path: {_NOT_ALLOWED}"
    return _fault_of_url(requirement.url)


def _fault_of_name(name: str, *, allow_urls: bool) -> str | None:
    if _ARCHIVE.search(name):
        return f"is the name of a file: {_NAMED if allow_urls else _NOT_ALLOWED}"
    return None


def _fault_of_url(url: str) -> str | None:
    if not _ADDRESS.match(url):
        return f"points to a relative path: {_NAMED}"
    if urlsplit(url).password is not None:
        return "holds a password: the operator can keep credentials in a netrc file instead"
    return None


@dataclass(frozen=True, slots=True)
class Inputs:
    """What the resolver is asked for, in an order that does not depend on the submission's.

    ``base`` holds those of ``requirements`` that the base set brought.
    """

    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    base: tuple[str, ...]


def compose(
    lines: Iterable[str],
    *,
    base: Iterable[str],
    constraints: Iterable[str],
    markers: Mapping[str, str],
) -> Inputs:
    """Join a script's requirements with the base set; what the script says wins.

    A base requirement gives way to a script's own of the same name, unless its exact pin
    satisfies that too: a script that only names ``mlflow`` keeps the client that matches the
    server. A constraint gives way to a version or URL of the script's own. ``markers`` is the
    interpreter's marker environment: a requirement that it excludes says nothing.
    """
    theirs = [Requirement(line.strip()) for line in lines]
    named: dict[str, list[Requirement]] = defaultdict(list)
    for requirement in theirs:
        if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
            named[canonicalize_name(requirement.name)].append(requirement)
    kept = [line for line in base if _stays(line, named)]
    limits = [line for line in constraints if _limits(line, named)]
    return Inputs(
        requirements=tuple(sorted({*map(str, theirs), *kept})),
        constraints=tuple(sorted(set(limits))),
        base=tuple(kept),
    )


def _stays(line: str, named: Mapping[str, list[Requirement]]) -> bool:
    ours = Requirement(line)
    theirs = named.get(canonicalize_name(ours.name), [])
    if any(requirement.url for requirement in theirs):
        return False
    pins = [item.version for item in ours.specifier if item.operator == "=="]
    if len(pins) == 1 and not pins[0].endswith(".*"):
        return all(item.specifier.contains(pins[0], prereleases=True) for item in theirs)
    return all(not item.specifier for item in theirs)


def _limits(line: str, named: Mapping[str, list[Requirement]]) -> bool:
    theirs = named.get(canonicalize_name(Requirement(line).name), [])
    return all(not item.specifier and not item.url for item in theirs)

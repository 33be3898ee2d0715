"""Writes ``docs/plugins/reference.md`` from the contracts themselves (``make docs``)."""

import dataclasses
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from runnerd import plugins, runner, testing
from runnerd.plugins import errors, fence, hookspecs, records
from runnerd.plugins.hookspecs import PluginContext
from runnerd.plugins.listener import Failure, Registration, ResolvedEnvironment
from runnerd.testing.fixtures import start_daemon

PAGE = Path(__file__).parents[1] / "docs" / "plugins" / "reference.md"
CONTRACTS = (plugins.Storage, plugins.Executor, plugins.Tracker, plugins.Listener)
HEAD = f"""# Reference

<!-- Written by `make docs` from runnerd.plugins and runnerd.testing: change it there. -->

Interface {fence.API_VERSION}. Everything here is imported from `runnerd.plugins` and
`runnerd.testing`. What stands in bold at the head of an item is the name of a rule: a test of the
kit proves it.
"""
_RULE = re.compile(r"^- ([a-z]+(?:-[a-z]+)+): ", re.MULTILINE)


def page() -> str:
    """Give the page."""
    sections = [HEAD, *_hooks(), *(part for each in CONTRACTS for part in _contract(each))]
    sections += [*_errors(), *_values(), *_records(), *_kit()]
    return "\n".join(section.strip("\n") + "\n" for section in sections)


def words(docstring: str | None) -> str:
    """Give a docstring as Markdown, with the names of rules in bold."""
    return _RULE.sub(r"- **\1**: ", inspect.cleandoc(docstring or "")).replace("``", "`")


def hooks() -> dict[str, object]:
    """Give every hook by its name."""
    found = inspect.getmembers(hookspecs, inspect.isfunction)
    return {name: hook for name, hook in found if name.startswith("runnerd_")}


def verbs_of(contract: type) -> Iterator[tuple[str, object]]:
    """Give the verbs of a contract in the order in which it has them."""
    for name, member in vars(contract).items():
        is_verb = inspect.isfunction(member) or isinstance(member, property)
        if is_verb and not name.startswith("_"):
            yield name, member


def values() -> list[type]:
    """Give the types of what contracts take and give."""
    public = (getattr(plugins, name) for name in plugins.__all__)
    others = (PluginContext, Failure, Registration, ResolvedEnvironment)
    found = {each for each in public if inspect.isclass(each)} | set(others)
    return sorted(
        (each for each in found if each not in CONTRACTS and not issubclass(each, Exception)),
        key=lambda each: each.__name__,
    )


def _hooks() -> Iterator[str]:
    yield "## Hooks"
    yield words(hookspecs.__doc__)
    for name, hook in hooks().items():
        yield f"### `{name}`"
        yield _signature(name, hook)
        yield words(hook.__doc__)


def _contract(contract: type) -> Iterator[str]:
    yield f"## {contract.__name__}"
    yield words(contract.__doc__)
    for name, member in verbs_of(contract):
        yield f"### `{contract.__name__}.{name}`"
        yield _signature(name, member.fget if isinstance(member, property) else member)
        yield words(member.__doc__)


def _errors() -> Iterator[str]:
    yield "## Errors"
    yield words(errors.__doc__)
    for name, error in vars(errors).items():
        if inspect.isclass(error) and issubclass(error, Exception):
            yield f"### `{name}`"
            yield words(error.__doc__)


def _values() -> Iterator[str]:
    yield "## What is given and taken"
    for value in values():
        yield f"### `{value.__name__}`"
        yield words(value.__doc__)
        if dataclasses.is_dataclass(value):
            fields = dataclasses.fields(value)
            rows = (f"| `{each.name}` | `{_cell(each.type)}` |\n" for each in fields)
            yield "| Field | Type |\n| --- | --- |\n" + "".join(rows)
        elif hasattr(value, "__members__"):
            yield ", ".join(f"`{member}`" for member in value.__members__)


def _records() -> Iterator[str]:
    yield "## records"
    yield "A module: `from runnerd.plugins import records`."
    yield words(records.__doc__)
    yield "### `RUNNER_FILE`"
    yield words(runner.__doc__)
    for name in records.__all__:
        function = getattr(records, name)
        if inspect.isfunction(function):
            yield f"### `records.{name}`"
            yield _signature(name, function)
            yield words(function.__doc__)


def _kit() -> Iterator[str]:
    yield "## The test kit"
    for name in testing.__all__:
        yield f"### `{name}`"
        yield words(getattr(testing, name).__doc__)
    yield "### `start_daemon`"
    yield "A fixture of `runnerd.testing.fixtures`."
    yield words(start_daemon.__doc__)


def _cell(annotation: object) -> str:
    return _type(annotation).replace("|", "\\|")


def _signature(name: str, function: object) -> str:
    assert callable(function)
    signature = inspect.signature(function)
    kept = [each for each in signature.parameters.values() if each.name != "self"]
    free = [_parameter(each) for each in kept if each.kind is not each.KEYWORD_ONLY]
    named = [_parameter(each) for each in kept if each.kind is each.KEYWORD_ONLY]
    given = ", ".join([*free, *(["*"] if named else []), *named])
    star = "async " if inspect.iscoroutinefunction(function) else ""
    return f"```python\n{star}def {name}({given}) -> {_type(signature.return_annotation)}\n```"


def _parameter(parameter: inspect.Parameter) -> str:
    default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
    return f"{parameter.name}: {_type(parameter.annotation)}{default}"


def _type(annotation: object) -> str:
    """Give a type as people write it, without the modules that it comes from."""
    plain = inspect.isclass(annotation) and not hasattr(annotation, "__args__")
    text = annotation.__name__ if plain else str(annotation)  # type: ignore[attr-defined]
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Za-z])", "", text).replace("NoneType", "None")


if __name__ == "__main__":
    PAGE.write_text(page())

"""The rules of a contract, as its docstrings state them, and the tests that prove them.

A rule is an item of a docstring's list that begins with its name: ``- stop-again: It is safe …``.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

_RULE = re.compile(r"^- ([a-z]+(?:-[a-z]+)+): (.+?)(?=\n- |\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_MARK = "__runnerd_rules__"
Test = TypeVar("Test", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``verb`` is the method whose docstring states it, empty for the class's own."""

    name: str
    verb: str
    text: str


def rules_in(docstring: str | None, verb: str = "") -> Iterator[Rule]:
    """Read the rules of one docstring."""
    for name, text in _RULE.findall(inspect.cleandoc(docstring or "")):
        yield Rule(name, verb, " ".join(text.split()))


def rules_of(contract: object) -> dict[str, Rule]:
    """Give the rules of a contract (a class, or a module of hooks) and its verbs, by name.

    Raises ``ValueError`` where two rules have one name.
    """
    stated = list(rules_in(contract.__doc__))
    for verb, member in vars(contract).items():
        is_verb = inspect.isfunction(member) or isinstance(member, property)
        if is_verb and not verb.startswith("_"):
            stated += rules_in(member.__doc__, verb)
    rules = {rule.name: rule for rule in stated}
    if len(rules) != len(stated):
        raise ValueError(f"{contract} states a rule twice")
    return rules


def proves(*names: str) -> Callable[[Test], Test]:
    """Mark a test as the proof of the rules of these names."""

    def mark(test: Test) -> Test:
        setattr(test, _MARK, names)
        return test

    return mark


def proven_by(suite: object) -> dict[str, list[str]]:
    """Give the names of the tests in a suite (a class or a module), by the rule they prove."""
    proofs: dict[str, list[str]] = {}
    for test, member in inspect.getmembers(suite, callable):
        for name in getattr(member, _MARK, ()):
            proofs.setdefault(name, []).append(test)
    return proofs

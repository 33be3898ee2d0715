"""Each rule of a contract is proven by a test of its suite, and no test proves what is no rule."""

import pytest

from runnerd.plugins import Executor, Listener, Storage, Tracker
from runnerd.testing import (
    ExecutorSuite,
    ListenerSuite,
    StorageSuite,
    TrackerSuite,
    proven_by,
    proves,
    rules_of,
)
from tests.plugins import test_listeners
from tests.store import test_observers

# What proves a contract: the suite of the plugin's promises, and the tests of the daemon's.
SUITES: dict[type, tuple[object, ...]] = {
    Executor: (ExecutorSuite,),
    Listener: (ListenerSuite, test_listeners, test_observers),
    Storage: (StorageSuite,),
    Tracker: (TrackerSuite,),
}


@pytest.mark.parametrize("contract", SUITES, ids=lambda contract: contract.__name__)
def test_every_rule_has_a_test_and_every_proof_a_rule(contract: type) -> None:
    stated = set(rules_of(contract))
    proven = {name for suite in SUITES[contract] for name in proven_by(suite)}
    assert stated - proven == set(), "rules without a test"
    assert proven - stated == set(), "tests of rules that are not stated"


@pytest.mark.parametrize("contract", SUITES, ids=lambda contract: contract.__name__)
def test_every_verb_has_a_rule_or_says_when_it_is_called(contract: type) -> None:
    verbs: frozenset[str] = getattr(contract, "__abstractmethods__", frozenset())
    assert verbs - {rule.verb for rule in rules_of(contract).values()} == set()


class Twice:
    """- one-rule: It is so.

    - one-rule: It is not so.
    """


class Written:
    """Rules come in lists.

    Some words before.

    - first-rule: It is
      so.
    - second-rule: It is not.

    no-rule: since it is no item.
    """

    def verb(self) -> None:
        """- third-rule: Of the verb."""


def test_rules_are_read_from_docstrings() -> None:
    found = rules_of(Written)
    assert {name: (rule.verb, rule.text) for name, rule in found.items()} == {
        "first-rule": ("", "It is so."),
        "second-rule": ("", "It is not."),
        "third-rule": ("verb", "Of the verb."),
    }
    with pytest.raises(ValueError, match="twice"):
        rules_of(Twice)


def test_a_test_may_prove_more_than_one_rule() -> None:
    class Suite:
        @proves("first-rule", "third-rule")
        def test_it(self) -> None: ...

        @proves("third-rule")
        def test_again(self) -> None: ...

    assert proven_by(Suite) == {
        "first-rule": ["test_it"],
        "third-rule": ["test_again", "test_it"],
    }

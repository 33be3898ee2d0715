"""When a node that is silent was silent long enough."""

from datetime import UTC, datetime, timedelta

from runnerd.scheduler.gone import LOOKS, Vigil
from runnerd.store import NodeRecord

BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def node(name: str, seconds: float = 0, *, alive: bool = False, live_jobs: int = 1) -> NodeRecord:
    seen = BEGUN + timedelta(seconds=seconds)
    return NodeRecord(name, "http://x", name, BEGUN, seen, alive, live_jobs, 0, None)


def test_a_node_is_told_after_enough_looks_in_a_row() -> None:
    vigil = Vigil(LOOKS)
    told = [
        vigil.look([node("a"), node("lives", alive=True), node("empty", live_jobs=0)])
        for _ in range(LOOKS + 1)
    ]
    assert told == [[]] * (LOOKS - 1) + [["a"]] * 2


def test_a_sign_of_life_begins_the_count_anew() -> None:
    vigil = Vigil(LOOKS)
    for _ in range(LOOKS - 1):
        vigil.look([node("a")])
    assert vigil.look([node("a", 5)]) == []
    for _ in range(LOOKS - 2):
        vigil.look([node("a", 5)])
    assert vigil.look([node("a", 5)]) == ["a"]


def test_a_database_that_was_away_begins_the_count_anew() -> None:
    vigil = Vigil(LOOKS)
    for _ in range(LOOKS - 1):
        vigil.look([node("a")])
    vigil.forget()
    assert vigil.look([node("a")]) == []

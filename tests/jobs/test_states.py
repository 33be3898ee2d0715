"""The state machine as a whole."""

from runnerd.jobs import (
    LIVE_STATES,
    TERMINAL_STATES,
    JobState,
    JobStatus,
    may_change,
    states_of,
    status_of,
)


def test_an_end_is_left_only_by_a_retry() -> None:
    for old in TERMINAL_STATES:
        assert [new for new in JobState if may_change(old, new)] == [JobState.QUEUED]


def test_every_state_can_reach_an_end() -> None:
    reached = set(TERMINAL_STATES)
    while True:
        more = {old for old in JobState if any(may_change(old, new) for new in reached)}
        if more <= reached:
            break
        reached |= more
    assert reached == set(JobState)


def test_every_state_reads_as_one_of_the_five_words() -> None:
    assert {status_of(state) for state in JobState} == set(JobStatus)
    assert states_of(JobStatus.RUNNING) == LIVE_STATES
    assert frozenset().union(*(states_of(status) for status in JobStatus)) == set(JobState)

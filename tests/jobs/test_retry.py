"""When a job is tried again by itself."""

import pytest

from runnerd.jobs import Cause, Outcome, retry_delay, should_retry


@pytest.mark.parametrize(
    ("cause", "retries", "retried"),
    [
        (Cause.LOST, 0, True),
        (Cause.LOST, 1, True),
        (Cause.LOST, 2, False),
        (Cause.EXITED, 0, False),
        (Cause.CANCELLED, 0, False),
    ],
)
def test_by_cause_and_count(cause: Cause, retries: int, retried: bool) -> None:
    assert should_retry(Outcome(cause), {Cause.LOST}, retries, 2) is retried


def test_the_delay_doubles_has_jitter_and_a_bound() -> None:
    assert [retry_delay(5, retries, 1.0) for retries in range(3)] == [5, 10, 20]
    assert retry_delay(5, 0, 0.0) == 2.5
    assert retry_delay(5, 50, 1.0) == 300

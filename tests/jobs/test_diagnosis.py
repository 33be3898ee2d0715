"""The sentence for ``error``."""

import pytest

from runnerd.jobs import Cause, JobSpecification, Outcome, diagnose, script_fault

SPECIFICATION = JobSpecification(
    script_name="train.py", script="", experiment_name="e", model_name="m", timeout=7
)
TRACEBACK = """epoch 1
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    fit()
  File "train.py", line 2, in fit
    raise X
"""


def told(outcome: Outcome, tail: str = "") -> str:
    error = diagnose(outcome, SPECIFICATION, tail)
    assert error is not None
    return error


def test_success_has_no_error() -> None:
    assert diagnose(Outcome(Cause.EXITED, 0), SPECIFICATION, TRACEBACK) is None


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("ValueError: bad shape (3, 4)", "ValueError: bad shape (3, 4)"),
        ("KeyboardInterrupt", "KeyboardInterrupt"),
        ("my.module.Odd: x", "my.module.Odd: x"),
        (
            "ModuleNotFoundError: No module named 'sklearn'",
            "ModuleNotFoundError: No module named 'sklearn': add \"scikit-learn\" to the job's "
            "`requirements`",
        ),
        (
            "ModuleNotFoundError: No module named 'lightgbm.sklearn'",
            "ModuleNotFoundError: No module named 'lightgbm.sklearn': add \"lightgbm\" to the "
            "job's `requirements`",
        ),
    ],
)
def test_the_exceptions_last_line(line: str, error: str) -> None:
    assert told(Outcome(Cause.EXITED, 1), TRACEBACK + line + "\nbye\n") == error


def test_a_message_of_several_lines_keeps_its_first() -> None:
    tail = TRACEBACK + "ValueError: shapes differ\n  left 3\n  right 4\n"
    assert told(Outcome(Cause.EXITED, 1), tail) == "ValueError: shapes differ"


def test_the_last_of_several_tracebacks_counts() -> None:
    tail = TRACEBACK + "KeyError: 'a'\n\nDuring handling …\n\n" + TRACEBACK + "OSError: b\n"
    assert told(Outcome(Cause.EXITED, 1), tail) == "OSError: b"


def test_the_skops_refusal_names_its_cures() -> None:
    tail = TRACEBACK + "skops.io.exceptions.UntrustedTypesFoundException: Untrusted types found\n"
    assert 'serialization_format="cloudpickle"' in told(Outcome(Cause.EXITED, 1), tail)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Outcome(Cause.EXITED, 3), "exit code 3"),
        (Outcome(Cause.SIGNALLED, signal=11), "SIGSEGV"),
        (Outcome(Cause.SIGNALLED, signal=11), "native code"),
        (Outcome(Cause.SIGNALLED, signal=9), "SIGKILL"),
        (Outcome(Cause.SIGNALLED, signal=63), "63"),
        (Outcome(Cause.OUT_OF_MEMORY, signal=9), "ran out of memory"),
        (Outcome(Cause.TIMEOUT, signal=15), "timeout of 7 seconds"),
        (Outcome(Cause.CANCELLED, signal=15), "cancelled on request"),
        (Outcome(Cause.CANCELLED, detail="by the engine"), "cancelled: by the engine"),
        (Outcome(Cause.LOG_LIMIT, signal=15), "log_limit_bytes"),
        (Outcome(Cause.BUILD_FAILED, detail="no wheel"), "no wheel"),
        (Outcome(Cause.LAUNCH_FAILED, detail="no room"), "no room"),
        (Outcome(Cause.LOST), "vanished"),
        (Outcome(Cause.LOST, detail="its pod was preempted"), "vanished: its pod was preempted;"),
    ],
)
def test_every_cause_has_its_sentence(outcome: Outcome, words: str) -> None:
    assert words in told(outcome)


def test_no_cause_is_without_a_sentence() -> None:
    for cause in Cause:
        assert told(Outcome(cause, exit_code=1 if cause is Cause.EXITED else None))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("x = (\n", "train.py, line 1"),
        ("import os\n  y = 2\n", "train.py, line 2"),
        ("a\nb c\n", "invalid syntax: b c"),
        ("x = '\0'", "null bytes"),
        ("(" * 300, "train.py"),
    ],
)
def test_a_script_that_is_not_python(script: str, words: str) -> None:
    fault = script_fault(SPECIFICATION.model_copy(update={"script": script}))
    assert fault is not None and words in fault


def test_a_script_that_is_python() -> None:
    good = SPECIFICATION.model_copy(update={"script": "import nothing\nraise SystemExit(3)\n"})
    assert script_fault(good) is None

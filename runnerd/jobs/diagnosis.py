"""Why a job failed, in one sentence that names the cause and, where it is known, the cure."""

import ast
import re
import signal

from runnerd.jobs.outcome import Cause, Outcome
from runnerd.jobs.specification import JobSpecification

# Import names whose distribution has another name: the ones that people meet.
DISTRIBUTIONS = {
    "attr": "attrs",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "google.cloud.storage": "google-cloud-storage",
    "imblearn": "imbalanced-learn",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "psycopg2": "psycopg2-binary",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "skopt": "scikit-optimize",
    "umap": "umap-learn",
    "yaml": "PyYAML",
}
# ``__main__.Odd``: an exception's last line starts with its dotted name, at the line's beginning.
_EXCEPTION = re.compile(r"^[A-Za-z_][\w.]*(?::\s.*)?$")
_TRACEBACK = "Traceback (most recent call last):"
_MISSING = re.compile(r"No module named '([\w.]+)'")
_LONGEST = 500
# The detail of an attempt that was lost with its node.
NODE_RELEASED = "its node was declared gone for good"
# That of an attempt that was live in a backup: what became of it, the backup does not know.
RESTORED = "it was under way when the backup was taken that this daemon was restored from"


def script_fault(specification: JobSpecification) -> str | None:
    """Give file, line and reason of a script that is not Python, None for one that is.

    The script is parsed, never run.
    """
    try:
        ast.parse(specification.script, specification.script_name)
    except SyntaxError as error:
        where = f"{specification.script_name}, line {error.lineno}"
        shown = f": {error.text.strip()}" if error.text and error.text.strip() else ""
        return f"SyntaxError in {where}: {error.msg}{shown}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"{specification.script_name} can't be read as Python: {error}"
    return None


def diagnose(outcome: Outcome, specification: JobSpecification, log_tail: str) -> str | None:
    """Give the sentence for ``error``, None where nothing failed.

    ``log_tail`` is the end of the script's output.
    """
    if outcome.succeeded:
        return None
    if outcome.cause is Cause.EXITED:
        return _of_exit(outcome.exit_code, log_tail)
    if outcome.cause is Cause.SIGNALLED:
        return _of_signal(outcome.signal)
    if outcome.cause is Cause.CANCELLED and outcome.detail:
        return f"cancelled: {outcome.detail}"
    if outcome.cause is Cause.LOST and outcome.detail:
        node = outcome.detail in (NODE_RELEASED, RESTORED)
        what = "job was lost" if node else "job's process vanished"
        return f"the {what}: {outcome.detail}; submit it again"
    return _OTHER[outcome.cause].format(
        timeout=specification.timeout, detail=outcome.detail or "no reason was recorded"
    )


_OTHER = {
    Cause.OUT_OF_MEMORY: (
        "the script was killed because the machine ran out of memory: use less data or smaller "
        "batches, or run it on a machine with more memory"
    ),
    Cause.TIMEOUT: (
        "the script ran into its timeout of {timeout} seconds and was stopped: submit it again "
        "with a larger `timeout`"
    ),
    Cause.INDEX_AWAY: "the requirements could not be resolved: {detail}",
    Cause.CANCELLED: "cancelled on request",
    Cause.LOG_LIMIT: (
        "the script was stopped because its output grew over the limit (jobs.log_limit_bytes): "
        "print less, or log files as artifacts"
    ),
    Cause.BUILD_FAILED: "the environment could not be built: {detail}",
    Cause.LAUNCH_FAILED: "the job could not be launched: {detail}",
    Cause.LOST: (
        "the job's process vanished without a record of its end (the machine restarted, or the "
        "runner was killed): submit it again"
    ),
}


def _of_exit(exit_code: int | None, log_tail: str) -> str:
    exception = last_exception(log_tail)
    if exception is None:
        return f"the script ended with exit code {exit_code}"
    return _with_cure(exception)


def _of_signal(number: int | None) -> str:
    try:
        name = signal.Signals(number or 0).name
    except ValueError:
        name = f"signal {number}"
    return f"the script was killed by {name}, which runnerd did not send" + (
        ": it crashed in native code" if name in ("SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE") else ""
    )


def last_exception(log_tail: str) -> str | None:
    """Find the last line of the last traceback in a script's output."""
    _, found, after = log_tail.rpartition(_TRACEBACK)
    if not found:
        return _syntax_error(log_tail)
    for line in after.splitlines()[1:]:
        if _EXCEPTION.match(line):
            return line.strip()[:_LONGEST]
    return None


def _syntax_error(log_tail: str) -> str | None:
    lines = [line for line in log_tail.splitlines() if line.startswith(("SyntaxError:", "Indent"))]
    return lines[-1][:_LONGEST] if lines else None


def _with_cure(exception: str) -> str:
    missing = _MISSING.search(exception)
    if missing and exception.startswith("ModuleNotFoundError"):
        module = missing.group(1)
        distribution = DISTRIBUTIONS.get(module) or DISTRIBUTIONS.get(module.partition(".")[0])
        name = distribution or module.partition(".")[0]
        return f'{exception}: add "{name}" to the job\'s `requirements`'
    if "untrusted types" in exception.lower() or "UntrustedTypesFoundException" in exception:
        return (
            f"{exception} (the skops format refuses this model: pass "
            'serialization_format="cloudpickle" or skops_trusted_types=[...] to log_model)'
        )
    if exception.startswith("MemoryError"):
        return f"{exception}: the script asked for more memory than there is; use less data"
    return exception

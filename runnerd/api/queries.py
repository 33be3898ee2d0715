"""Query parameters and headers of requests, checked."""

import re

from aiohttp import web

from runnerd.api.bodies import problem_of_faults
from runnerd.api.problems import Fault, Problem
from runnerd.store import JobNotFound

LIMIT_MAXIMUM = 1000
LIMIT_DEFAULT = 100

_JOB_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_TRUE = frozenset({"true", "1", "yes"})
_FALSE = frozenset({"false", "0", "no", ""})


def job_id_of(request: web.Request) -> str:
    """Give the job id in the path. Raises ``JobNotFound`` for what can't be one."""
    job_id = request.match_info["job_id"]
    if not _JOB_ID.fullmatch(job_id):
        raise JobNotFound(f"no job has the id {job_id[:80]!r}: GET /mlops/training/jobs lists them")
    return job_id


def query_of(request: web.Request, known: frozenset[str]) -> dict[str, str]:
    """Give the query's parameters. Raises ``Problem`` 422 for unknown and repeated ones."""
    found: dict[str, str] = {}
    faults: list[Fault] = []
    for name, value in request.query.items():
        if name not in known:
            takes = ", ".join(sorted(known)) or "no parameter"
            faults.append(Fault(("query", name), f"is not known here, which takes {takes}"))
        elif name in found:
            faults.append(Fault(("query", name), "is given more than once"))
        elif not _is_text(value):
            faults.append(Fault(("query", name), "must be printable UTF-8 text"))
        found[name] = value
    if faults:
        raise problem_of_faults(faults)
    return found


def limit_in(query: dict[str, str]) -> int:
    """Give the page's size. Raises ``Problem`` 422."""
    value = query.get("limit", str(LIMIT_DEFAULT))
    if re.fullmatch(r"[0-9]{1,4}", value) and 1 <= int(value) <= LIMIT_MAXIMUM:
        return int(value)
    raise fault_in_query("limit", f"must be a whole number from 1 to {LIMIT_MAXIMUM}")


def flag_in(query: dict[str, str], name: str) -> bool:
    """Tell whether a flag is set, which it is not if left out. Raises ``Problem`` 422."""
    value = query.get(name, "false").lower()
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise fault_in_query(name, "must be true or false")


def fault_in_query(name: str, message: str) -> Problem:
    """Give the problem of one query parameter."""
    return problem_of_faults([Fault(("query", name), message)])


def idempotency_key_of(request: web.Request) -> str | None:
    """Give the request's key, None without one. Raises ``Problem`` 422."""
    key = request.headers.get("Idempotency-Key")
    if key is None or _KEY.fullmatch(key):
        return key
    message = "must have 1 to 255 printable ASCII characters"
    raise problem_of_faults([Fault(("header", "Idempotency-Key"), message)])


def last_event_id_of(request: web.Request) -> int:
    """Give where a stream shall go on, 0 for its beginning. Raises ``Problem`` 422."""
    value = request.headers.get("Last-Event-ID", "")
    if re.fullmatch(r"[0-9]{0,18}", value):
        return int(value or 0)
    message = "must be the id of an event of this stream"
    raise problem_of_faults([Fault(("header", "Last-Event-ID"), message)])


def wants_events(request: web.Request) -> bool:
    """Tell whether the client takes server-sent events."""
    return "text/event-stream" in request.headers.get("Accept", "").lower()


def _is_text(value: str) -> bool:
    return value.isprintable() and not any("\ud800" <= character <= "\udfff" for character in value)

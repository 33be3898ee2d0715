"""Stands in front of a storage, a tracker or an executor, and measures each of its verbs."""

import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, TypeVar

from runnerd.metrics.instruments import Metrics
from runnerd.plugins import BackendAway, FailJob, NotFound, OutOfSpace, Refused

Part = TypeVar("Part")

_WORDS: dict[type[Exception], str] = {
    BackendAway: "away",
    OutOfSpace: "out_of_space",
    NotFound: "not_found",
    Refused: "refused",
    FailJob: "fail_job",
}


def measured(part: Part, contract: type[object], name: str, metrics: Metrics) -> Part:
    """Give a part that behaves as this one, and whose calls are measured as those of ``name``.

    ``contract`` is the abstract class that the part is written against.

    What is awaited, or entered, is timed. What a verb yields, and plain functions, pass through.
    """
    members = {
        verb: _timed(part, verb, name, metrics)
        if callable(getattr(contract, verb))
        else _passed(part, verb)
        for verb in dir(contract)
        if not verb.startswith("_")
    }
    # It has the part's own name, which the daemon's messages speak of.
    kind: type[Any] = type(type(part).__name__, (contract,), members)
    stand_in: Part = kind()
    return stand_in


def _passed(part: object, attribute: str) -> property:
    return property(lambda _: getattr(part, attribute))


def _timed(part: object, verb: str, name: str, metrics: Metrics) -> Callable[..., Any]:
    def call(_: object, *args: Any, **kwargs: Any) -> Any:
        result = getattr(part, verb)(*args, **kwargs)
        if isinstance(result, Coroutine):
            return _awaited(result, name, verb, metrics)
        if isinstance(result, AbstractAsyncContextManager):
            return _entered(result, name, verb, metrics)
        return result

    return call


async def _awaited(work: Coroutine[Any, Any, Any], name: str, verb: str, metrics: Metrics) -> Any:
    with _measuring(name, verb, metrics):
        return await work


@asynccontextmanager
async def _entered(
    context: AbstractAsyncContextManager[Any], name: str, verb: str, metrics: Metrics
) -> AsyncIterator[Any]:
    async with AsyncExitStack() as stack:
        with _measuring(name, verb, metrics):
            opened = await stack.enter_async_context(context)
        yield opened


@contextmanager
def _measuring(name: str, verb: str, metrics: Metrics) -> Iterator[None]:
    begun = time.monotonic()
    try:
        yield
    except Exception as error:
        metrics.call_errors.labels(name, verb, _word_for(error)).inc()
        raise
    finally:
        metrics.calls.labels(name, verb).observe(time.monotonic() - begun)


def _word_for(error: Exception) -> str:
    return next((word for kind, word in _WORDS.items() if isinstance(error, kind)), "bug")

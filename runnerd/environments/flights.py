"""Several who ask for the same thing at once wait for one of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio

Result = TypeVar("Result")


@dataclass(slots=True)
class _Flight(Generic[Result]):
    ended: anyio.Event = field(default_factory=anyio.Event)
    results: list[Result] = field(default_factory=list)
    error: Exception | None = None


class Flights(Generic[Result]):
    """One call at a time for each name; those who come meanwhile share its result or error.

    Where the caller that does the work is cancelled, one of those who wait takes over.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Result]] = {}

    async def share(self, name: str, work: Callable[[], Awaitable[Result]]) -> Result:
        """Give the result of ``work`` or of the same call that is already under way."""
        while flight := self._flights.get(name):
            await flight.ended.wait()
            if flight.error is not None:
                raise flight.error
            if flight.results:
                return flight.results[0]
        return await self._lead(name, work)

    async def _lead(self, name: str, work: Callable[[], Awaitable[Result]]) -> Result:
        flight = self._flights[name] = _Flight()
        try:
            flight.results.append(await work())
        except Exception as error:
            flight.error = error
            raise
        finally:
            del self._flights[name]
            flight.ended.set()
        return flight.results[0]

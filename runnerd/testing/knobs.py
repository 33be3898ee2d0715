"""What every fake of a plugin's part can be told to do wrong."""

from dataclasses import dataclass, field

import anyio

from runnerd.plugins import BackendAway, Condition, Health


@dataclass
class Knobs:
    """While ``away`` is set every verb that needs the backend raises ``BackendAway``.

    ``errors`` are raised by the verbs that they are named by, each time; ``hangs`` names verbs that
    never return; ``calls`` lists the verbs that were called, in order.
    """

    away: bool = False
    errors: dict[str, Exception] = field(default_factory=dict)
    hangs: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)

    async def turn(self, verb: str, *, needs_backend: bool = True) -> None:
        """Do what the knobs say of a verb; each verb of a fake begins with it."""
        self.calls.append(verb)
        if verb in self.hangs:
            await anyio.sleep_forever()
        if verb in self.errors:
            raise self.errors[verb]
        if needs_backend and self.away:
            raise BackendAway("the fake backend is away", retry_after=0.01)

    async def turn_health(self) -> Health:
        """Give the health that goes with the knobs."""
        await self.turn("health", needs_backend=False)
        if self.away:
            return Health(Condition.UNHEALTHY, "the fake backend is away")
        return Health(Condition.HEALTHY)

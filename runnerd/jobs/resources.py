"""What a job asks for, what a node has to give, and which waiting job it may take next."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

DEFAULT_QUEUE = "default"
# A job with one point of priority more passes so many that were submitted before it, and no more:
# who waits is passed by a bounded number of others, whatever the clock says.
PLACES_PER_PRIORITY = 100
# Fractions of a processor don't add up exactly.
_ROUNDING = 1e-6


class Resources(BaseModel):
    """What a job takes of its node beside a slot. ``gpus`` is a number of whole devices."""

    model_config = ConfigDict(frozen=True)

    cpus: float = 0
    memory_bytes: int = 0
    gpus: int = 0

    @property
    def is_nothing(self) -> bool:
        return self == Resources()

    def in_words(self) -> str:
        """Say what is asked for: ``2 CPUs, 8 GiB and 1 GPU``."""
        return _listed(
            _counted(self.cpus, "CPU") if self.cpus else "",
            in_gib(self.memory_bytes) if self.memory_bytes else "",
            _counted(self.gpus, "GPU") if self.gpus else "",
        )


@dataclass(frozen=True, slots=True)
class Room:
    """An amount of what jobs take, by its four dimensions; ``inf`` where nothing limits it."""

    slots: float
    cpus: float = math.inf
    memory_bytes: float = math.inf
    gpus: float = math.inf

    def fits(self, asked: Resources) -> bool:
        """Tell whether a job that asks for this has room."""
        return (
            self.slots >= 1
            and self.cpus + _ROUNDING >= asked.cpus
            and self.memory_bytes >= asked.memory_bytes
            and self.gpus >= asked.gpus
        )

    def without(self, taken: Resources) -> "Room":
        """Give what is left after a job has taken its share, never less than nothing."""
        return Room(
            max(0, self.slots - 1),
            max(0, self.cpus - taken.cpus),
            max(0, self.memory_bytes - taken.memory_bytes),
            max(0, self.gpus - taken.gpus),
        )


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a node has to give: ``gpus`` are the indexes of its devices, None is "no limit"."""

    slots: int
    cpus: float | None = None
    memory_bytes: int | None = None
    gpus: tuple[int, ...] | None = None

    def in_words(self) -> str:
        """Say what there is, without the slots."""
        return _listed(
            "" if self.cpus is None else _counted(self.cpus, "CPU"),
            "" if self.memory_bytes is None else in_gib(self.memory_bytes),
            "" if self.gpus is None else _counted(len(self.gpus), "GPU"),
        )

    @property
    def room(self) -> Room:
        """Give the node's room while nothing runs on it."""
        return Room(
            self.slots,
            math.inf if self.cpus is None else self.cpus,
            math.inf if self.memory_bytes is None else self.memory_bytes,
            math.inf if self.gpus is None else len(self.gpus),
        )

    def left_by(self, running: Iterable[Resources]) -> Room:
        """Give the room that these jobs leave."""
        room = self.room
        for taken in running:
            room = room.without(taken)
        return room

    def choose_gpus(self, number: int, held: Iterable[int]) -> tuple[int, ...] | None:
        """Choose devices that nobody holds; None where the node has none to count."""
        if not self.gpus:
            return None
        taken = set(held)
        return tuple(index for index in self.gpus if index not in taken)[:number]


def first_that_fits(line: Sequence[Resources], room: Room) -> int | None:
    """Give the place in the line of the job that may start now, None if none may.

    Who has no room yet keeps what is free for himself as far as he needs it, and those behind him
    share the rest. So nobody is passed for ever, and what he can't use is not idle.
    """
    for place, asked in enumerate(line):
        if room.fits(asked):
            return place
        room = room.without(asked)
        if room.slots < 1:
            return None
    return None


def in_gib(size: float) -> str:
    """Write a number of bytes as people do: ``7.5 GiB``, and ``512 MiB`` of what is less."""
    return f"{size / 2**30:.3g} GiB" if size >= 2**30 else f"{size / 2**20:.3g} MiB"


def _counted(number: float, noun: str) -> str:
    return f"{number:g} {noun}" + ("" if number == 1 else "s")


def _listed(*parts: str) -> str:
    *others, last = [part for part in parts if part] or ["no limits"]
    return f"{', '.join(others)} and {last}" if others else last

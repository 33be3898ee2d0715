"""Moving house: objects from one storage to another."""

from runnerd.moving.copying import Tally, copy_objects
from runnerd.moving.errors import NotMoved
from runnerd.moving.objects import Extent, Failure, Source
from runnerd.moving.storages import opened_source, opened_storage
from runnerd.moving.undelivered import Undelivered

__all__ = [
    "Extent",
    "Failure",
    "NotMoved",
    "Source",
    "Tally",
    "Undelivered",
    "copy_objects",
    "opened_source",
    "opened_storage",
]

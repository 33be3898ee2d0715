"""Moving house: from one storage to another, into a backup, and out of it."""

from runnerd.moving.backup import take_backup
from runnerd.moving.copying import Tally, copy_objects
from runnerd.moving.errors import NotMoved
from runnerd.moving.manifest import Manifest, Missing
from runnerd.moving.objects import Extent, Failure, Source
from runnerd.moving.restore import Restored, restore_backup
from runnerd.moving.storages import opened_source, opened_storage
from runnerd.moving.undelivered import Undelivered

__all__ = [
    "Extent",
    "Failure",
    "Manifest",
    "Missing",
    "NotMoved",
    "Restored",
    "Source",
    "Tally",
    "Undelivered",
    "copy_objects",
    "opened_source",
    "opened_storage",
    "restore_backup",
    "take_backup",
]

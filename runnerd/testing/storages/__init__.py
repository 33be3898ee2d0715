"""The conformance suite of storages."""

from runnerd.testing.storages.direct import DirectRules
from runnerd.testing.storages.health import HealthRules
from runnerd.testing.storages.reading import ReadingRules
from runnerd.testing.storages.writing import WritingRules


class StorageSuite(WritingRules, ReadingRules, DirectRules, HealthRules):
    """Every rule of ``Storage``. A subclass gives ``make_storage`` and is called ``Test…``."""


__all__ = ["StorageSuite"]

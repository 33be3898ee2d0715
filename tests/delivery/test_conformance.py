"""What keeps for a store is a storage itself, by every rule of the contract."""

from pathlib import Path

from runnerd.delivery import Delivery
from runnerd.plugins import Storage
from runnerd.plugins.local import LocalStorage
from runnerd.testing import StorageSuite


class TestDelivery(StorageSuite):
    def make_storage(self, folder: Path) -> Storage:
        return Delivery(LocalStorage(folder / "there"), LocalStorage(folder / "here"))

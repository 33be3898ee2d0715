"""An engine that several daemons reach: one finds what another launched."""

from pathlib import Path

from runnerd.testing.executors.sharing import SharingRules
from tests.machine_plugin import MachineExecutor


class TestMachineExecutor(SharingRules):
    @staticmethod
    def make_executor(data_dir: Path) -> MachineExecutor:
        # Each test's executors lie in folders of one parent, or of a folder in it.
        test = data_dir.parent if data_dir.parent.name != "other" else data_dir.parent.parent
        return MachineExecutor(common=test / "common", data_dir=data_dir)

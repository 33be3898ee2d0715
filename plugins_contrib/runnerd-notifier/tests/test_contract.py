"""The listener keeps the contract, with nobody at the other end."""

from pathlib import Path

from runnerd.plugins import Listener
from runnerd.testing import ListenerSuite
from runnerd_notifier import Notifier, NotifierSettings

SETTINGS = {"url": "http://192.0.2.1/hook", "secret": "0123456789abcdef", "events": ()}


class TestNotifier(ListenerSuite):
    def make_listener(self, folder: Path) -> Listener:
        settings = NotifierSettings.model_validate(SETTINGS)
        return Notifier(settings, folder / "queue.db", "http://127.0.0.1:8000")

"""The rules of ``Storage`` about opening, closing and being away."""

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest

from runnerd.plugins import BackendAway, Condition, Storage
from runnerd.testing.rules import proves
from runnerd.testing.storages.ground import StorageGround, read, stream


class HealthRules(StorageGround):
    """Open, close and health."""

    @proves("health-true", "health-answers")
    async def test_a_working_backend_is_healthy(self, storage: Storage) -> None:
        health = await storage.health()
        assert health.condition is Condition.HEALTHY, health.detail
        assert await storage.list("") == [], "a probe left something behind"

    @proves("close-any")
    async def test_closing_what_was_never_open(self, tmp_path: Path) -> None:
        await self.make_storage(tmp_path).close()

    @proves("open-away", "error-away", "health-answers", "close-any")
    async def test_a_backend_that_is_away_is_said_to_be(self, tmp_path: Path) -> None:
        away = self.make_away_storage(tmp_path)
        started = time.monotonic()
        try:
            await away.open()
        except BackendAway as error:
            assert str(error), "the error says nothing"
        else:
            await self._check_away(away)
        finally:
            await away.close()
        assert time.monotonic() - started < 5 * self.seconds

    async def _check_away(self, away: Storage) -> None:
        with anyio.fail_after(5):
            health = await away.health()
        assert health.condition is Condition.UNHEALTHY
        assert health.detail, "the health says nothing"
        verbs: tuple[Callable[[], Awaitable[object]], ...] = (
            lambda: away.put("k", stream(b"1")),
            lambda: read(away, "k"),
            lambda: away.stat("k"),
            lambda: away.list("k"),
            lambda: away.delete("k"),
        )
        for verb in verbs:
            with anyio.fail_after(self.seconds), pytest.raises(BackendAway):
                await verb()

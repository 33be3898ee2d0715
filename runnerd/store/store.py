"""The store: the one place that knows what is true of jobs."""

from typing import Self

import anyio

from runnerd.store import migrations
from runnerd.store.engine import connect
from runnerd.store.handles import Handles
from runnerd.store.handovers import Handovers
from runnerd.store.leases import Leases
from runnerd.store.makings import MakingsPart
from runnerd.store.nodes import Nodes
from runnerd.store.releases import Releases
from runnerd.store.submissions import Submissions
from runnerd.store.tokens import Tokens
from runnerd.store.waiting import Waiting


class Store(Submissions, Leases, Waiting, Nodes, Releases, Handovers, MakingsPart, Handles, Tokens):
    """Jobs, attempts, events, what jobs made, and tokens, in one database.

    ``url`` names an SQLite file or a Postgres database, as SQLAlchemy writes it. Any verb raises
    ``StoreAway`` where the database does not answer.
    """

    def __init__(self, url: str) -> None:
        super().__init__(connect(url))
        self._url = url

    async def open(self) -> None:
        """Bring the schema up to date. Raises ``SchemaTooNew`` and ``StoreAway``."""
        await anyio.to_thread.run_sync(migrations.upgrade, self._url)

    async def close(self) -> None:
        await self._engines.dispose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

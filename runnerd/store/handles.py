"""Where launched attempts are found, for a data folder that is copied or moved."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy import bindparam, select, tuple_, update

from runnerd.jobs import Attempt, Handle
from runnerd.store.base import StorePart
from runnerd.store.rows import attempt_of
from runnerd.store.tables import attempts

BATCH = 500


class Handles(StorePart):
    """The handles of many attempts at once."""

    async def launched_on(self, node: str) -> AsyncIterator[list[Attempt]]:
        """Give every attempt that was launched on a node, some hundreds at a time."""
        key = tuple_(attempts.c.job_id, attempts.c.number)
        launched = (
            select(attempts)
            .where(attempts.c.node == node, attempts.c.handle_state.is_not(None))
            .order_by(attempts.c.job_id, attempts.c.number)
            .limit(BATCH)
        )
        query = launched
        while True:
            async with self._read() as connection:
                found = [attempt_of(row) for row in await connection.execute(query)]
            if not found:
                return
            yield found
            query = launched.where(key > (found[-1].job_id, found[-1].number))

    async def replace_handles(self, moved: Sequence[tuple[Attempt, Handle]]) -> None:
        """Store other handles of these attempts: what they lead to was moved."""
        if not moved:
            return
        statement = (
            update(attempts)
            .where(attempts.c.job_id == bindparam("job"), attempts.c.number == bindparam("attempt"))
            .values(handle_version=bindparam("version"), handle_state=bindparam("state"))
        )
        rows = [
            {
                "job": attempt.job_id,
                "attempt": attempt.number,
                "version": handle.version,
                "state": handle.state,
            }
            for attempt, handle in moved
        ]
        async with self._write() as connection:
            await connection.execute(statement, rows)

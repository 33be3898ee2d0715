"""Who may talk to the daemon: operators' tokens and the tokens of live jobs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from runnerd.jobs import LIVE_STATES
from runnerd.store.base import StorePart, now
from runnerd.store.credentials import digest_of, new_secret
from runnerd.store.errors import TokenExists, TokenNotFound
from runnerd.store.tables import attempts, jobs, tokens

USE_RESOLUTION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token as it is shown once; the secret is stored nowhere."""

    name: str
    secret: str


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """What is kept of a token. ``last_used_at`` is true to the minute."""

    name: str
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who sent a request; ``job_id`` is set exactly for jobs."""

    kind: Literal["operator", "job"]
    name: str
    job_id: str | None = None


class Tokens(StorePart):
    """Tokens and whom they stand for."""

    async def create_token(self, name: str) -> NewToken:
        """Make an operator's token. Raises ``TokenExists``."""
        secret = new_secret("rnd")
        try:
            async with self._write() as connection:
                await connection.execute(
                    insert(tokens).values(
                        name=name, secret_digest=digest_of(secret), created_at=now()
                    )
                )
        except IntegrityError as error:
            raise TokenExists(
                f"a token named {name!r} exists: choose another name, or revoke it first"
            ) from error
        return NewToken(name, secret)

    async def list_tokens(self) -> list[TokenRecord]:
        """List all tokens, revoked ones included, oldest first."""
        async with self._read() as connection:
            rows = await connection.execute(select(tokens).order_by(tokens.c.id))
            return [
                TokenRecord(row.name, row.created_at, row.revoked_at, row.last_used_at)
                for row in rows
            ]

    async def revoke_token(self, name: str) -> None:
        """End a token at once. Raises ``TokenNotFound``."""
        async with self._write() as connection:
            revoked = await connection.execute(
                update(tokens)
                .where(tokens.c.name == name, tokens.c.revoked_at.is_(None))
                .values(revoked_at=now())
            )
        if revoked.rowcount == 0:
            raise TokenNotFound(f"no live token is named {name!r}: `runnerd token list` shows them")

    async def has_tokens(self) -> bool:
        """Tell whether an operator's token was ever made: revoking the last one opens no door."""
        query = select(tokens.c.id).limit(1)
        async with self._read() as connection:
            return (await connection.execute(query)).one_or_none() is not None

    async def identify(self, secret: str) -> Identity | None:
        """Tell whose secret this is; None if it is unknown, revoked, or its job has ended."""
        digest = digest_of(secret)
        operator = select(tokens).where(
            tokens.c.secret_digest == digest, tokens.c.revoked_at.is_(None)
        )
        job = (
            select(attempts.c.job_id)
            .join(jobs, jobs.c.id == attempts.c.job_id)
            .where(
                attempts.c.secret_digest == digest,
                attempts.c.number == jobs.c.attempt,
                jobs.c.state.in_(LIVE_STATES),
            )
        )
        async with self._read() as connection:
            token = (await connection.execute(operator)).one_or_none()
            job_id = (await connection.execute(job)).scalar_one_or_none()
        if token is not None:
            if token.last_used_at is None or now() - token.last_used_at > USE_RESOLUTION:
                await self._note_use(token.id)
            return Identity("operator", token.name)
        return Identity("job", f"job {job_id}", job_id) if job_id is not None else None

    async def _note_use(self, token_id: int) -> None:
        async with self._write() as connection:
            await connection.execute(
                update(tokens).where(tokens.c.id == token_id).values(last_used_at=now())
            )

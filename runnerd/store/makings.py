"""What a job made in the tracker: its runs, models and model versions."""

from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.schema import Table

from runnerd.store.base import StorePart
from runnerd.store.dialects import insert_into
from runnerd.store.tables import jobs, made_models, made_runs, made_versions


@dataclass(frozen=True, slots=True)
class MadeRun:
    """A run, and the attempt that made it; ``parent_id`` is set for nested ones."""

    run_id: str
    parent_id: str | None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class MadeModel:
    """A logged model, and the attempt that logged it."""

    model_id: str
    run_id: str | None
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class MadeVersion:
    """A version of a registered model, and the attempt that made it."""

    name: str
    version: str
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Makings:
    """Everything a job made, in the order of making."""

    runs: tuple[MadeRun, ...]
    models: tuple[MadeModel, ...]
    versions: tuple[MadeVersion, ...]

    def of_attempt(self, number: int) -> "Makings":
        """Give what one attempt made."""
        return Makings(
            tuple(run for run in self.runs if run.attempt == number),
            tuple(model for model in self.models if model.attempt == number),
            tuple(version for version in self.versions if version.attempt == number),
        )


class MakingsPart(StorePart):
    """Notes of what passes by. Noting a thing again changes nothing."""

    async def note_run(self, job_id: str, run_id: str, *, parent_id: str | None = None) -> None:
        """Note a run; a job's first that is not nested is its run until it has ended."""
        async with self._write() as connection:
            await _insert(connection, made_runs, job_id=job_id, run_id=run_id, parent_id=parent_id)
            if parent_id is None:
                await connection.execute(
                    update(jobs)
                    .where(jobs.c.id == job_id, jobs.c.run_id.is_(None))
                    .values(run_id=run_id)
                )

    async def note_model(self, job_id: str, model_id: str, run_id: str | None) -> None:
        """Note a logged model."""
        async with self._write() as connection:
            await _insert(connection, made_models, job_id=job_id, model_id=model_id, run_id=run_id)

    async def note_version(self, job_id: str, name: str, version: str) -> None:
        """Note a version of a registered model."""
        async with self._write() as connection:
            await _insert(connection, made_versions, job_id=job_id, name=name, version=version)

    async def makings(self, job_id: str) -> Makings:
        """List what a job made so far."""
        async with self._read() as connection:
            found = [
                (
                    await connection.execute(
                        select(table).where(table.c.job_id == job_id).order_by(table.c.seq)
                    )
                ).all()
                for table in (made_runs, made_models, made_versions)
            ]
        runs, models, versions = found
        return Makings(
            tuple(MadeRun(row.run_id, row.parent_id, row.attempt) for row in runs),
            tuple(MadeModel(row.model_id, row.run_id, row.attempt) for row in models),
            tuple(MadeVersion(row.name, row.version, row.attempt) for row in versions),
        )

    async def behind_versions(self) -> dict[str, frozenset[str]]:
        """Give the run and the logged models behind each job's registered version, by job id."""
        query = (
            select(jobs.c.id, jobs.c.run_id, made_models.c.model_id)
            .join(
                made_models,
                (made_models.c.job_id == jobs.c.id) & (made_models.c.run_id == jobs.c.run_id),
                isouter=True,
            )
            .where(jobs.c.model_version.is_not(None))
        )
        behind: dict[str, frozenset[str]] = {}
        async with self._read() as connection:
            for job_id, *names in await connection.execute(query):
                behind[job_id] = behind.get(job_id, frozenset()) | {each for each in names if each}
        return behind

    async def job_of_run(self, run_id: str) -> str | None:
        """Tell which job made a run, None if none did."""
        query = select(made_runs.c.job_id).where(made_runs.c.run_id == run_id)
        async with self._read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()

    async def job_of_model(self, model_id: str) -> str | None:
        """Tell which job logged a model, None if none did."""
        query = select(made_models.c.job_id).where(made_models.c.model_id == model_id)
        async with self._read() as connection:
            return (await connection.execute(query)).scalar_one_or_none()


async def _insert(
    connection: AsyncConnection, table: Table, *, job_id: str, **values: str | None
) -> None:
    attempt = select(jobs.c.attempt).where(jobs.c.id == job_id).scalar_subquery()
    await connection.execute(
        insert_into(connection, table)
        .values(job_id=job_id, attempt=attempt, **values)
        .on_conflict_do_nothing()
    )

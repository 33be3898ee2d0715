"""Asking uv for the pinned requirements that meet what a script asks for."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from runnerd.environments.errors import IndexAway, Unresolvable
from runnerd.environments.interpreter import Interpreter
from runnerd.environments.processes import Finished, OutOfTime, run
from runnerd.environments.reasons import condensed, is_away, redacted, with_cure
from runnerd.environments.requirements import Inputs
from runnerd.environments.secrets import address_of

_LONGEST_WAIT = 30.0
_ATTEMPTS = 4
_BETWEEN_ATTEMPTS = 15.0


def uv_variables(
    variables: Mapping[str, str],
    index_url: str | None,
    extra_index_urls: Sequence[str],
    seconds: float,
) -> dict[str, str]:
    """Compose all that uv's processes see: ``variables``, PATH, HOME, and the package indexes.

    uv gives up on a silent index early enough to say so within ``seconds``. How often and how
    long it tries can be overridden by ``variables``.
    """
    own = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    wait = max(1.0, min(_LONGEST_WAIT, (seconds - _BETWEEN_ATTEMPTS) / _ATTEMPTS))
    patience = {"UV_HTTP_RETRIES": str(_ATTEMPTS - 1), "UV_HTTP_TIMEOUT": str(int(wait))}
    settings = {"UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"}
    if index_url:
        settings["UV_DEFAULT_INDEX"] = index_url
    if extra_index_urls:
        settings["UV_INDEX"] = " ".join(extra_index_urls)
    return {**own, **patience, **variables, **settings}


@dataclass(frozen=True, slots=True)
class Resolver:
    """uv, with all that its answer depends on besides the requirements.

    ``variables`` is the whole environment of its process, and where index credentials travel:
    command lines are for everybody to read. ``index_urls`` start with the default one, empty
    for uv's own.
    """

    uv: str
    interpreter: Interpreter
    cache: Path
    variables: Mapping[str, str]
    index_urls: Sequence[str]
    seconds: float

    def fingerprint(self, inputs: Inputs) -> str:
        """Give a hash of everything that the answer depends on, credentials apart."""
        asked = {
            "requirements": inputs.requirements,
            "constraints": inputs.constraints,
            "interpreter": self.interpreter.identity,
            "indexes": [address_of(url) for url in self.index_urls],
        }
        return sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()

    async def lock(self, inputs: Inputs) -> str:
        """Give the text of a requirements file with a pin and hashes for every package.

        Raises ``Unresolvable`` or ``IndexAway``.
        """
        with tempfile.TemporaryDirectory(prefix="runnerd-resolve-") as folder:
            try:
                finished = await self._compile(inputs, Path(folder))
            except OutOfTime:
                raise Unresolvable(
                    f"Resolving the requirements took longer than {self.seconds:g} s: pin more "
                    "of them to exact versions, or raise environments.resolve_timeout."
                ) from None
        if finished.returncode == 0:
            return finished.stdout
        printed = redacted(finished.stderr, self.index_urls)
        if is_away(printed):
            raise IndexAway(f"A package index can't be used now. {condensed(printed)}")
        raise Unresolvable(with_cure(condensed(printed), inputs.base))

    async def _compile(self, inputs: Inputs, folder: Path) -> Finished:
        constraints = folder / "constraints.txt"
        constraints.write_text("\n".join(inputs.constraints), encoding="utf-8")
        command = [self.uv, "pip", "compile", "-", "--quiet", "--no-config", "--color", "never"]
        command += ["--no-header", "--no-annotate", "--generate-hashes"]
        command += ["--python", self.interpreter.path, "--cache-dir", str(self.cache)]
        command += ["--constraint", str(constraints)]
        return await run(
            command,
            env=self.variables,
            seconds=self.seconds,
            text="\n".join(inputs.requirements),
            cwd=folder,
        )

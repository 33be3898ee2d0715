"""The table ``[plugins.slurm]``."""

from pydantic import BaseModel, ConfigDict, Field, field_validator

# What the plugin says to sbatch itself: another value would lose jobs or run them twice.
OWN = frozenset(
    {
        "array",
        "chdir",
        "dependency",
        "error",
        "export",
        "export-file",
        "input",
        "job-name",
        "no-requeue",
        "open-mode",
        "output",
        "parsable",
        "requeue",
        "test-only",
        "uid",
        "wait",
        "wrap",
    }
)


class SlurmSettings(BaseModel):
    """``[plugins.slurm]``.

    ``partition``, ``account``, ``qos`` and ``constraint`` are sbatch's, empty for Slurm's own
    choice; ``gres`` names the generic resource that is a GPU (``gpu``, ``gpu:a100``); ``options``
    are further options of sbatch, each as ``--name=value``. ``conf`` is the path of slurm.conf and
    ``programs`` the folder of sbatch and its like, where they are not where Slurm looks itself.
    ``python`` is the interpreter of the runner on the nodes, 3.8 or newer, empty for the daemon's
    own. Every ``poll_seconds`` Slurm is asked once about all jobs; a command that takes longer
    than ``command_seconds`` is given up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gres: str = "gpu"
    options: tuple[str, ...] = ()
    conf: str = ""
    programs: str = ""
    python: str = ""
    poll_seconds: float = Field(default=2.0, ge=0.1, le=60)
    command_seconds: float = Field(default=30.0, ge=1, le=250)

    @field_validator("options")
    @classmethod
    def _only_what_is_free(cls, options: tuple[str, ...]) -> tuple[str, ...]:
        for option in options:
            name = option.removeprefix("--").partition("=")[0]
            if not option.startswith("--"):
                raise ValueError(f"write {option!r} in its long form: --name=value")
            if name in OWN:
                raise ValueError(f"--{name} is the plugin's own affair: leave it out")
        return options

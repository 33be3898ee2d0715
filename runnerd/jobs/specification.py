"""What somebody asked for: the specification of a job."""

from pydantic import BaseModel, ConfigDict

from runnerd.jobs.resources import DEFAULT_QUEUE, Resources


class JobSpecification(BaseModel):
    """A job as it was submitted, after every check; it never changes afterwards.

    ``script`` is Python source text, ``timeout`` is in seconds of the script's own time.
    ``max_retries`` is how often the job may be tried again by itself. In its ``queue`` a job of
    higher ``priority`` goes first. ``executor`` names what runs it, None the default one of the
    node that takes it; ``image`` is what it runs in, where that executor runs images.
    """

    model_config = ConfigDict(frozen=True)

    script_name: str
    script: str
    experiment_name: str
    model_name: str
    requirements: tuple[str, ...] = ()
    environment_vars: dict[str, str] = {}
    timeout: int = 300
    tags: dict[str, str] = {}
    max_retries: int = 0
    queue: str = DEFAULT_QUEUE
    priority: int = 0
    resources: Resources = Resources()
    executor: str | None = None
    image: str | None = None

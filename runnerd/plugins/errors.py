"""Errors a plugin raises, each named by what the daemon does when it catches one."""


class PluginError(Exception):
    """Base of the errors below. Its text is shown to users: one sentence, no secret in it."""


class BackendAway(PluginError):
    """The backend does not answer. The daemon says 503 (or 429 to MLflow clients) and retries."""

    def __init__(self, message: str, *, retry_after: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class NotFound(PluginError):
    """The thing asked for is not there. The daemon says 404."""


class Refused(PluginError):
    """The request can't be carried out as it is. The daemon says 422 and does not retry."""


class OutOfSpace(PluginError):
    """The backend has no room left. The daemon says 507 and keeps what it has."""


class FailJob(PluginError):
    """The job can't go on, and trying again would not help. The daemon fails the job."""

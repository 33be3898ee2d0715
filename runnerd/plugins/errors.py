"""Errors a plugin raises, each named by what the daemon does when it catches one.

Whatever else a plugin raises is a bug of the plugin: the daemon logs it with the plugin's name and
its traceback, answers 500 or fails the one job, and goes on.
"""


class PluginError(Exception):
    """Base of the errors below. Its text is shown to users: one sentence, no secret in it."""


class BackendAway(PluginError):
    """Retry: the backend does not answer now.

    The daemon answers 503 (429 to MLflow clients) with ``Retry-After``; a job waits and the verb is
    called again, after ``retry_after`` seconds or later, for as long as it takes.
    """

    def __init__(self, message: str, *, retry_after: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class OutOfSpace(PluginError):
    """Retry when there is room: the daemon answers 507, a job waits, and nothing is given up."""


class NotFound(PluginError):
    """Answer 404: the thing asked for is not there. Calling again would not help."""


class Refused(PluginError):
    """Answer 422: the request can't be carried out as it is. Calling again would not help."""


class FailJob(PluginError):
    """Fail the job, with the text as its reason: it can't go on, and no retry would help."""


class TakeOut(BackendAway):
    """Take the plugin out: it can't work until a person has mended something.

    None of its hooks is called any more until the daemon is started again. Raised by a storage, a
    tracker or an executor it is met as ``BackendAway`` is, with longer pauses: what needs the
    plugin waits, so that nothing is lost when it is back.
    """

    def __init__(self, message: str, *, retry_after: float = 60.0) -> None:
        super().__init__(message, retry_after=retry_after)

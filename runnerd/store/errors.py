"""Errors of the store, each named by what its catcher must do or say."""


class StoreProblem(Exception):
    """Base of the errors below. Its text is one sentence for users."""


class StoreAway(StoreProblem):
    """The database does not answer, or is busy beyond the time limit: try again later."""


class JobNotFound(StoreProblem):
    """No job has this id."""


class WrongState(StoreProblem):
    """The job's state does not allow what was asked."""


class StaleLease(StoreProblem):
    """Somebody else holds this job now: drop what you know about it."""


class IdempotencyConflict(StoreProblem):
    """The idempotency key was used for another request."""


class BadCursor(StoreProblem):
    """The cursor was not made by this list."""


class TokenNotFound(StoreProblem):
    """No live token has this name."""


class TokenExists(StoreProblem):
    """A token of this name exists already."""


class NodeTaken(StoreProblem):
    """Another daemon is the node of this name: stop, or start under another name."""


class NodeNotFound(StoreProblem):
    """No daemon was ever the node of this name."""


class NodeAlive(StoreProblem):
    """The node was seen too lately to be declared gone: wait, or drain it."""


class SchemaBehind(StoreProblem):
    """The database's schema is older than the code: upgrade it."""


class SchemaTooNew(StoreProblem):
    """The database's schema is newer than the code: install the newer runnerd."""


class NotCopied(StoreProblem):
    """A database was not copied, and the target holds none of it: the text says why."""


class UnsupportedDatabase(StoreProblem):
    """The database URL names a database that the store does not speak to."""

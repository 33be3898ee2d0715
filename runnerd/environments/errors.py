"""Errors of the environments, each named by what its catcher must do about it."""


class Unresolvable(Exception):
    """No environment can meet the requirements: fail the job with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class RequirementInvalid(Unresolvable):
    """A line of ``requirements`` can't be taken: tell whoever submitted it.

    ``index`` counts from 0, ``line`` is the line as it came, ``message`` one sentence.
    """

    def __init__(self, index: int, line: str, message: str) -> None:
        super().__init__(message)
        self.index = index
        self.line = line
        self.message = message


class IndexAway(Exception):
    """A package index does not answer: try again later."""


class EnvironmentUnknown(Exception):
    """Nothing is known of an environment key, or its interpreter is no longer there."""


class EnvironmentBusy(Exception):
    """Somebody is building or removing the environment at this moment: try again."""


class BuildFailed(Exception):
    """The environment could not be built: ``reason`` is the builder's own."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InterpreterMissing(Exception):
    """The configured Python can't be used: the daemon can't start until that is mended."""

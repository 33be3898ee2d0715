"""Errors of serving, each named by what whoever asked for a prediction must do."""


class UnfitInput(Exception):
    """The inputs do not fit the model: send others (HTTP 422).

    ``column`` is the one at fault, None where it is not a single one. ``message`` is a sentence
    that names it.
    """

    def __init__(self, column: str | None, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


class ModelUnusable(Exception):
    """The model can't be served as it was logged: log another version (HTTP 422)."""


class ServingBusy(Exception):
    """There is no answer now: ask again in ``retry_after`` seconds (HTTP 503).

    All workers are taken, the model is still being loaded, its prediction ran out of time, or
    its worker died of the request; the text says which.
    """

    def __init__(self, message: str, *, retry_after: float = 2.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after

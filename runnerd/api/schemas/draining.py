"""Answers about draining."""

from runnerd.api.schemas.common import Answer


class DrainAnswer(Answer):
    """Whether this daemon claims nothing, and how many jobs it still has in hand."""

    draining: bool
    carried: int

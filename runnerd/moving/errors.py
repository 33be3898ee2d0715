"""What ends a move before its end."""


class NotMoved(Exception):
    """It did not go through. The text says why, what is left behind, and what to do."""

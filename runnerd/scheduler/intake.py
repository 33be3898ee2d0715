"""Whether a daemon takes on new work, and how much it carries."""

from dataclasses import dataclass


@dataclass(slots=True)
class Intake:
    """Shared by those who ask and the scheduler that obeys; lives as long as the daemon.

    While ``draining`` is set nothing is claimed. ``carried`` is the number of jobs in hand;
    while ``claiming`` is set one more may be on its way. ``given`` tells that jobs of another node
    became this one's, for the scheduler to carry.
    """

    draining: bool = False
    carried: int = 0
    claiming: bool = False
    given: bool = False

    @property
    def in_hand(self) -> int:
        """Count the jobs that have to end before the daemon is idle."""
        return self.carried + self.claiming

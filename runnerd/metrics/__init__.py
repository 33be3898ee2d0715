"""What the daemon counts and measures of itself, for Prometheus.

Nothing here waits for anything: counters move when something happens, the rest is read from what
background tasks last saw.
"""

from runnerd.metrics.history import History
from runnerd.metrics.instruments import Metrics
from runnerd.metrics.parts import measured
from runnerd.metrics.standing import Disk, Exposition, Standing

__all__ = ["Disk", "Exposition", "History", "Metrics", "Standing", "measured"]

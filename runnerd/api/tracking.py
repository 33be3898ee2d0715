"""The tracker, waited for within the settings' bound."""

from runnerd.api.services import Services
from runnerd.plugins import Tracker


async def ready_tracker(services: Services) -> Tracker:
    """Give the tracker once it answers. Raises ``BackendAway`` after the configured time."""
    await services.tracker.wait_ready(services.settings.tracking.wait_seconds)
    return services.tracker

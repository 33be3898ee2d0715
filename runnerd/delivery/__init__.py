"""Artifacts of a store that is away: kept on the local disk, and delivered when it is back."""

from runnerd.delivery.delivery import Delivery

__all__ = ["Delivery"]

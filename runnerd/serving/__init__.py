"""Model workers: each model is served by a process in the environment that trained it."""

from runnerd.serving.errors import ModelUnusable, ServingBusy, UnfitInput
from runnerd.serving.service import Prediction, Serving

__all__ = ["ModelUnusable", "Prediction", "Serving", "ServingBusy", "UnfitInput"]

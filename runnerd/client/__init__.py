"""The client library: talks to a daemon over HTTP and imports nothing of it."""

from runnerd.client.answers import (
    ENDED,
    Job,
    JobPage,
    Model,
    ModelVersion,
    Prediction,
    Registration,
)
from runnerd.client.client import DEFAULT_URL, Client
from runnerd.client.errors import DaemonAway, RequestRefused, Unauthenticated

__all__ = [
    "DEFAULT_URL",
    "ENDED",
    "Client",
    "DaemonAway",
    "Job",
    "JobPage",
    "Model",
    "ModelVersion",
    "Prediction",
    "Registration",
    "RequestRefused",
    "Unauthenticated",
]

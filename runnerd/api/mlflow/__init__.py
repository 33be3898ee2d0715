"""The daemon's origin as a complete MLflow tracking URI."""

from runnerd.api.mlflow.routing import UNBOUNDED_ROUTES, routes

__all__ = ["UNBOUNDED_ROUTES", "routes"]

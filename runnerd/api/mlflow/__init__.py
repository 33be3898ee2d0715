"""The daemon's origin as a complete MLflow tracking URI."""

from runnerd.api.mlflow.routing import routes

__all__ = ["routes"]

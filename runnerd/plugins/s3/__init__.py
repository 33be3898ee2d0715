"""The plugin ``s3``: objects in a bucket of any store that speaks S3."""

from collections.abc import Mapping

from pydantic import BaseModel

from runnerd.plugins.hookspecs import PluginContext, hookimpl
from runnerd.plugins.s3.settings import S3Settings
from runnerd.plugins.storage import Storage

RUNNERD_API = 1
NAME = "s3"

__all__ = ["S3Settings", "runnerd_settings", "runnerd_storage"]


@hookimpl
def runnerd_settings() -> Mapping[str, type[BaseModel]]:
    """Give the model of ``[plugins.s3]``."""
    return {NAME: S3Settings}


@hookimpl
def runnerd_storage(name: str, settings: S3Settings, context: PluginContext) -> Storage | None:
    """Build the storage ``s3``."""
    if name != NAME:
        return None
    # Only here, so that boto3 costs nothing where it is not used.
    from runnerd.plugins.s3.storage import S3Storage  # noqa: PLC0415

    return S3Storage(settings)

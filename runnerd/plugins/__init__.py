"""What a plugin author imports: the contracts, the hooks and the errors."""

from runnerd.plugins import records
from runnerd.plugins.errors import (
    BackendAway,
    FailJob,
    NotFound,
    OutOfSpace,
    PluginError,
    Refused,
    TakeOut,
)
from runnerd.plugins.executor import (
    Executor,
    ExecutorCapability,
    LaunchRequest,
    Observation,
    Progress,
    Verdict,
)
from runnerd.plugins.fence import API_VERSION
from runnerd.plugins.health import Condition, Health
from runnerd.plugins.hookspecs import PluginContext, hookimpl
from runnerd.plugins.listener import (
    ExecutorRequest,
    Failure,
    Listener,
    Registration,
    ResolvedEnvironment,
)
from runnerd.plugins.records import RUNNER_FILE, AttemptFolder
from runnerd.plugins.storage import (
    DirectDownload,
    DirectUpload,
    Download,
    Storage,
    StorageCapability,
    StoredObject,
    check_key,
)
from runnerd.plugins.tracker import (
    Census,
    ForwardRequest,
    ForwardResponse,
    ModelVersion,
    RegisteredModel,
    Run,
    RunModel,
    Tracker,
    TrackerCapability,
)

__all__ = [
    "API_VERSION",
    "RUNNER_FILE",
    "AttemptFolder",
    "BackendAway",
    "Census",
    "Condition",
    "DirectDownload",
    "DirectUpload",
    "Download",
    "Executor",
    "ExecutorCapability",
    "ExecutorRequest",
    "FailJob",
    "Failure",
    "ForwardRequest",
    "ForwardResponse",
    "Health",
    "LaunchRequest",
    "Listener",
    "ModelVersion",
    "NotFound",
    "Observation",
    "OutOfSpace",
    "PluginContext",
    "PluginError",
    "Progress",
    "Refused",
    "RegisteredModel",
    "Registration",
    "ResolvedEnvironment",
    "Run",
    "RunModel",
    "Storage",
    "StorageCapability",
    "StoredObject",
    "TakeOut",
    "Tracker",
    "TrackerCapability",
    "Verdict",
    "check_key",
    "hookimpl",
    "records",
]

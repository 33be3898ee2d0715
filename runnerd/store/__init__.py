"""The store: tables, queries and the state changes of jobs."""

from runnerd.store.changes import Changes
from runnerd.store.errors import (
    BadCursor,
    IdempotencyConflict,
    JobNotFound,
    NodeAlive,
    NodeNotFound,
    NodeTaken,
    NotCopied,
    SchemaBehind,
    SchemaTooNew,
    StaleLease,
    StoreAway,
    StoreProblem,
    TokenExists,
    TokenNotFound,
    UnsupportedDatabase,
    WrongState,
)
from runnerd.store.leases import Claim
from runnerd.store.line import Offer
from runnerd.store.makings import MadeModel, MadeRun, MadeVersion, Makings
from runnerd.store.newjobs import Submission
from runnerd.store.nodes import NodePlace, NodeRecord, Seat
from runnerd.store.releases import Release
from runnerd.store.store import Store
from runnerd.store.submissions import Page
from runnerd.store.tokens import Identity, NewToken, TokenRecord
from runnerd.store.waiting import QueueDepth, could_run, given_by, opened_by

__all__ = [
    "BadCursor",
    "Changes",
    "Claim",
    "IdempotencyConflict",
    "Identity",
    "JobNotFound",
    "MadeModel",
    "MadeRun",
    "MadeVersion",
    "Makings",
    "NewToken",
    "NodeAlive",
    "NodeNotFound",
    "NodePlace",
    "NodeRecord",
    "NodeTaken",
    "NotCopied",
    "Offer",
    "Page",
    "QueueDepth",
    "Release",
    "SchemaBehind",
    "SchemaTooNew",
    "Seat",
    "StaleLease",
    "Store",
    "StoreAway",
    "StoreProblem",
    "Submission",
    "TokenExists",
    "TokenNotFound",
    "TokenRecord",
    "UnsupportedDatabase",
    "WrongState",
    "could_run",
    "given_by",
    "opened_by",
]

"""Proof that what was read is what was stored.

Every part travels to the store with its MD5, which the store checks. What is read is held against
what the object itself says: the MD5 that was put beside a small one, and for one of several parts
the store's own ETag, which is the MD5 of the parts' MD5s, or of the whole.
"""

import base64
import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

PART_BYTES = "runnerd-part-bytes"
WHOLE_MD5 = "runnerd-md5"
UPLOAD = "runnerd-upload"
_COMPOSITE = re.compile(r'"?([0-9a-f]{32})-(\d+)"?')
_PLAIN = re.compile(r'"?([0-9a-f]{32})"?')

Pieces = list[bytes]


def md5_of(data: bytes | bytearray) -> "hashlib._Hash":
    """Give the MD5 of some bytes: it finds accidents, and keeps no secret."""
    return hashlib.md5(data, usedforsecurity=False)


def header_of(data: bytes | bytearray) -> str:
    """Give the MD5 as the header Content-MD5 has it."""
    return base64.b64encode(md5_of(data).digest()).decode()


@dataclass(slots=True)
class Check:
    """Takes the summaries of an object's parts in order, and tells at the end if it matches."""

    expected: str
    composite: bool
    _digest: "hashlib._Hash" = field(default_factory=lambda: md5_of(b""))

    def summary(self, part: Pieces) -> Pieces:
        """Give what ``take`` needs of a part. Call it in a thread, for several parts at once."""
        if not self.composite:
            return part
        digest = md5_of(b"")
        for piece in part:
            digest.update(piece)
        return [digest.digest()]

    def take(self, summary: Pieces) -> None:
        """Take the next part's. Call it in a thread: it may work for tens of milliseconds."""
        for piece in summary:
            self._digest.update(piece)

    @property
    def matches(self) -> bool:
        return self._digest.hexdigest() == self.expected


def check_for(answer: Any, size: int, part_bytes: int) -> Check | None:
    """Give the check of an object that will be read in parts of ``part_bytes``.

    None where its store keeps nothing to check by: it came there by another way, was uploaded in
    other parts, or is encrypted so that its ETag says nothing.
    """
    metadata = {key.lower(): value for key, value in answer.get("Metadata", {}).items()}
    etag = answer.get("ETag", "")
    if WHOLE_MD5 in metadata:
        return Check(metadata[WHOLE_MD5], composite=False)
    encrypted = str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")
    if metadata.get(PART_BYTES) != str(part_bytes) or encrypted:
        return None
    if found := _COMPOSITE.fullmatch(etag):
        parts = -(-size // part_bytes)
        return Check(found[1], composite=True) if int(found[2]) == parts else None
    found = _PLAIN.fullmatch(etag)
    return Check(found[1], composite=False) if found else None

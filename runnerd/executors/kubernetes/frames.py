"""Reading what the pod's side tells on its output: see ``runnerd/runner/pod.py``."""

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

MARK = 0x1E


class Frames:
    """Takes the stream of a container's log in pieces, from its first byte that is still there.

    ``position`` is the byte of the script's output that comes next; None until a record tells it,
    where the node has dropped the beginning of the log.
    """

    def __init__(self) -> None:
        self._rest = b""
        self.position: int | None = None

    def feed(self, piece: bytes) -> Iterator[tuple[int, bytes] | dict[str, Any]]:
        """Give the output that became known, each with its position, and the records.

        What does not have the form of frames, as the words of a container that could not even
        start its program, is left out.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        plain: list[bytes] = []
        for line in lines:
            if not line or line[0] != MARK:
                plain.append(line)
                continue
            yield from self._placed(plain)
            plain = []
            try:
                yield from self._framed(line)
            except (ValueError, binascii.Error):
                continue
        yield from self._placed(plain)

    def _placed(self, lines: list[bytes]) -> Iterator[tuple[int, bytes]]:
        if lines and self.position is not None:
            yield from self._output(b"\n".join(lines) + b"\n")

    def _framed(self, line: bytes) -> Iterator[tuple[int, bytes] | dict[str, Any]]:
        kind, content = line[1:2], line[2:]
        if kind == b"b" and self.position is not None:
            yield from self._output(base64.b64decode(content))
        if kind == b"j":
            record = json.loads(content)
            if isinstance(record, dict):
                if isinstance(record.get("at"), int):
                    self.position = record["at"]
                yield record

    def _output(self, content: bytes) -> Iterator[tuple[int, bytes]]:
        if self.position is not None:
            start, self.position = self.position, self.position + len(content)
            yield start, content

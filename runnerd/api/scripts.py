"""The script of a submission: base64 or plain text, and the name of its file."""

import ast
import base64
import binascii
import re

from runnerd.api.bodies import problem_of_faults
from runnerd.api.problems import Fault, Problem

NAME_BYTES = 200
_ALPHABET = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_BASE64_CHARACTERS = re.compile(r"[A-Za-z0-9+/=_\s-]+")
_PYTHON_PUNCTUATION = frozenset("()[]{}'\":#.,=")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_PARSED_AT_MOST = 64 * 1024


def script_of(content: str) -> str:
    """Give the source in ``content``, which is base64 of it or the source itself.

    Raises ``Problem``: 400 for base64 that is broken, 422 where there is no script in it.
    """
    source = _from_base64(content)
    if source is None:
        _refuse_broken_base64(content)
        source = content
    return _checked(source, "script_content")


def script_in(content: bytes) -> str:
    """Give the source in an uploaded file. Raises ``Problem`` 422."""
    try:
        return _checked(content.decode(), "file")
    except UnicodeDecodeError as error:
        raise _fault("file", "must be Python source in UTF-8") from error


def safe_name(name: str) -> str:
    """Make a display name a file's name: one part, visible, and not too long."""
    last = re.split(r"[/\\]", name.strip())[-1]
    kept = _UNSAFE.sub("_", last).lstrip(".-~ ").rstrip(" ")
    stem, dot, suffix = kept.rpartition(".")
    if not dot or len(suffix) > 10:
        stem, suffix = kept, "py"
    stem = stem.encode()[:NAME_BYTES].decode(errors="ignore").rstrip()
    return f"{stem or 'script'}.{suffix}"


def _from_base64(content: str) -> str | None:
    compact = "".join(content.split())
    one_word_a_line = all(len(line.split()) <= 1 for line in content.splitlines())
    if not one_word_a_line or len(compact) % 4 or not _ALPHABET.fullmatch(compact):
        return None
    try:
        decoded = base64.b64decode(compact.translate(str.maketrans("-_", "+/")), validate=True)
        return decoded.decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


def _refuse_broken_base64(content: str) -> None:
    text = content.strip()
    if not text:
        return
    if _BASE64_CHARACTERS.fullmatch(text) and all(len(x.split()) <= 1 for x in text.splitlines()):
        broken = len(text) > _PARSED_AT_MOST or not _does_anything(text)
    else:
        prose = "\n" not in text and _PYTHON_PUNCTUATION.isdisjoint(text)
        broken = prose and len(text) <= _PARSED_AT_MOST and _statements(text) is None
    if broken:
        raise Problem(
            400,
            "script_content is neither base64 of UTF-8 text nor Python source: encode the whole "
            "file without changes, or send the source itself.",
            errors=[Fault(("script_content",), "is malformed base64")],
        )


def _does_anything(text: str) -> bool:
    """Tell a short script, as ``pass``, from letters that only look like one."""
    statements = _statements(text)
    return statements is not None and not all(isinstance(node, ast.Expr) for node in statements)


def _statements(text: str) -> list[ast.stmt] | None:
    try:
        return ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _checked(source: str, field: str) -> str:
    source = source.removeprefix("\ufeff")
    if not source.strip():
        raise _fault(field, "holds no script: send Python source")
    if "\x00" in source:
        raise _fault(field, "holds NUL characters, which Python source can't")
    return source


def _fault(field: str, message: str) -> Problem:
    return problem_of_faults([Fault((field,), message)])

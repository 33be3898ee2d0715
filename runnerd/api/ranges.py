"""Requests for one range of bytes."""

from aiohttp import web

from runnerd.api.problems import Problem


def range_of(request: web.Request, size: int) -> tuple[int, int] | None:
    """Give the bytes asked for, begin and exclusive end, None where all are.

    A header that can't be read, or names several ranges, counts as none (RFC 9110). Raises
    ``Problem`` 416 for a range that begins behind the end.
    """
    if "Range" not in request.headers:
        return None
    try:
        asked = request.http_range
    except ValueError:
        return None
    start, end, _ = asked.indices(size)
    if start >= end:
        raise Problem(
            416,
            f"The range lies behind the end: there are {size} bytes.",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, end


def range_headers(asked: tuple[int, int] | None, size: int) -> dict[str, str]:
    """Give the headers of an answer with the bytes asked for."""
    headers = {"Accept-Ranges": "bytes"}
    if asked is not None:
        headers["Content-Range"] = f"bytes {asked[0]}-{asked[1] - 1}/{size}"
    return headers

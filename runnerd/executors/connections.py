"""Connections to an engine over TCP, let go of without a trace."""

import asyncio
import ssl
import sys

import aiohttp

# https://github.com/python/cpython/pull/118960: before, a TLS connection that is closed waits for
# the other side's word, also beyond the session that it belongs to.
_LEAVES_TLS_OPEN = sys.version_info < (3, 12, 8)


def connector(tls: ssl.SSLContext | bool) -> aiohttp.TCPConnector:
    """Give a connector without a limit: each watched attempt holds a connection."""
    return aiohttp.TCPConnector(ssl=tls, limit=0, enable_cleanup_closed=_LEAVES_TLS_OPEN)


async def close(session: aiohttp.ClientSession) -> None:
    """Let go of all connections, also those that are in use."""
    await session.close()
    await asyncio.sleep(0)  # what was cut off is told so in the loop's next turn

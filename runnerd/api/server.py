"""The listener."""

import asyncio
import socket

from aiohttp import web

from runnerd.api.connections import Connection, Limits
from runnerd.settings import ServerSettings


class HttpServer:
    """Serves an application on one socket, within the limits of the settings."""

    def __init__(self, app: web.Application, settings: ServerSettings) -> None:
        self._settings = settings
        self._runner = web.AppRunner(
            app, handle_signals=False, shutdown_timeout=settings.shutdown_timeout
        )
        self._listener: asyncio.Server | None = None

    async def start(self, listener: socket.socket) -> None:
        """Answer requests on a bound socket, which is closed by ``stop``."""
        settings = self._settings
        limits = Limits(
            header=settings.header_timeout,
            body=settings.body_timeout,
            idle=settings.idle_timeout,
            connections=settings.max_connections,
        )
        loop = asyncio.get_running_loop()
        await self._runner.setup()
        server = self._runner.server
        if server is None:
            raise RuntimeError("the application was not set up")
        self._listener = await loop.create_server(
            lambda: Connection(server, loop, limits),
            sock=listener,
            backlog=min(settings.max_connections, 1024),
        )

    async def stop(self) -> None:
        """Stop listening, let requests end within the shutdown time-out, then cut them."""
        if self._listener is not None:
            self._listener.close()
        await self._runner.cleanup()
        if self._listener is not None:
            await self._listener.wait_closed()
            self._listener = None

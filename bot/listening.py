"""Opens a port for an aiohttp application, or says why it cannot be opened."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web


async def listen(
    app: web.Application,
    host: str,
    port: int,
    refused: Callable[[OSError], Exception],
    **options: Any,
) -> web.AppRunner:
    """Serve ``app``; ``cleanup()`` of what is returned ends that.

    Args:
        app: what answers.
        host: the address to listen on.
        port: 0 takes any free one; ``addresses`` of what is returned tells which.
        refused: words the error where the port is taken, or the host is not this machine's.
        options: of :class:`aiohttp.web.AppRunner`.
    """
    runner = web.AppRunner(app, access_log=None, **options)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise refused(error) from None
    return runner

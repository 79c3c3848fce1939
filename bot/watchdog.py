"""Says which plugin blocks the whole bot.

A timeout contains what waits; code that computes or sleeps inside an ``async def`` holds the
event loop itself, and then nothing in the loop can say so. A thread beside it can: it looks
at what the loop is in the middle of.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import FrameType

log = logging.getLogger(__name__)


class Watchdog:
    """Watches the running loop until it is closed.

    Args:
        files: each plugin's name by its file.
        patience: seconds for which the loop may be silent.
    """

    def __init__(self, files: Callable[[], Mapping[str, str]], patience: float = 5.0) -> None:
        self._files = files
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._loops_thread = threading.get_ident()
        self._answered = threading.Event()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()

    def close(self) -> None:
        """Watch no more; the thread ends by itself, since waiting for it would hold the loop."""
        self._closed.set()
        self._answered.set()

    def _watch(self) -> None:
        while not self._closed.wait(self._patience):
            self._answered.clear()
            with suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(self._answered.set)
            if not self._answered.wait(self._patience) and not self._closed.is_set():
                self._tell()
                self._answered.wait()

    def _tell(self) -> None:
        """Name the innermost plugin on the loop's stack, and its line."""
        frame: FrameType | None = sys._current_frames().get(self._loops_thread)
        files = self._files()
        while frame is not None and frame.f_code.co_filename not in files:
            frame = frame.f_back
        if frame is None:
            log.error("the bot has been stuck for %g s, not in a plugin", self._patience)
            return
        file = frame.f_code.co_filename
        log.error(
            "plugin %s blocks the whole bot: %s:%d; make it a plain def, which runs in a thread",
            files[file],
            file,
            frame.f_lineno,
        )

"""Starts this very program anew, for work that shall not share the studio's process."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from bot.studio.serve import PASSWORD_VARIABLE, USER_VARIABLE


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of ours, whatever folder it is run in."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """Return its environment: plain output, this very code, and no secrets."""
    own = dict(os.environ)
    for name in (USER_VARIABLE, PASSWORD_VARIABLE, "FORCE_COLOR", "TTY_COMPATIBLE"):
        own.pop(name, None)
    here = str(Path(__file__).parents[2])
    own["PYTHONPATH"] = os.pathsep.join(filter(None, [own.get("PYTHONPATH"), here]))
    return own | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8", "COLUMNS": "100"}

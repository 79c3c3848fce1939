"""The studio, and what runs and looks after a bot: ``run``, ``config``, ``db``, ``harvest``."""

from __future__ import annotations

import typer

from bot.commands import databases, harvesting, running, settings, studio


def register(app: typer.Typer) -> None:
    """Add every one of them to ``app``, worded in the spoken language."""
    for group in (studio, running, settings, databases, harvesting):
        group.register(app)

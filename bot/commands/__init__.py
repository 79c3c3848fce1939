"""The commands that run and look after a bot: ``run``, ``config``, ``db``, ``harvest``."""

from __future__ import annotations

import typer

from bot.commands import databases, harvesting, running, settings


def register(app: typer.Typer) -> None:
    """Add every command of the bot to ``app``, worded in the spoken language."""
    for group in (running, settings, databases, harvesting):
        group.register(app)

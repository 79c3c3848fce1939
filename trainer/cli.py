"""The trainer's commands: one for each step from a persona's file to talking with it.

``renshe`` mounts them (see ``bot/cli.py``). In the order in which a newcomer meets them:
``new``, ``check``, ``schema``, ``compile``, ``bases``, ``plan``, ``train``, ``eval``, ``diff``,
``chat``, ``prefix``.
"""

from __future__ import annotations

import typer

from trainer.commands import (
    base_models,
    conversation,
    datasets,
    differences,
    evaluation,
    persona_files,
    plan,
    prefixes,
    training,
)


def register(app: typer.Typer) -> None:
    """Add every command of the trainer to ``app``, worded in the spoken language."""
    for group in (
        persona_files,
        datasets,
        base_models,
        plan,
        training,
        evaluation,
        differences,
        conversation,
        prefixes,
    ):
        group.register(app)

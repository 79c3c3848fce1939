"""A command that holds others, like ``renshe db``."""

from __future__ import annotations

import typer

from trainer.commands.bilingual import Group


def command_group(app: typer.Typer, name: str, *, about: str, example: str) -> typer.Typer:
    """Add a group to ``app`` and return it, for its commands to be added to."""
    group = typer.Typer(
        cls=Group,
        rich_markup_mode=None,
        invoke_without_command=True,
        help=about,
        epilog=example,
    )
    group.callback()(_options)
    app.add_typer(group, name=name)
    return group


def _options(ctx: typer.Context) -> None:
    """Show what there is to whoever names no command."""
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())

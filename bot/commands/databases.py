"""``db check``, ``export``, ``forget``, ``prune``, ``backup``: a bot's database, while it runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from bot.commands.extra import require_extra
from trainer.commands.bilingual import add, command_group
from trainer.language import say

File = Annotated[
    Path,
    typer.Argument(
        metavar="DATABASE", help=say(zh="数据库，renshe.yaml 里的 store", en="The `store` file.")
    ),
]
User = Annotated[
    str,
    typer.Option(
        metavar="PLATFORM:ID", help=say(zh="这个人，如 telegram:12345", en="This person.")
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``, under ``db``."""
    group = command_group(
        app,
        "db",
        about=say(
            zh="看管机器人的数据库，机器人不用停。", en="Look after a bot's database while it runs."
        ),
        example="renshe db check renshe.db\nrenshe db backup renshe.db backup.db",
    )
    for name, command, about, example in (
        (
            "check",
            check,
            say(
                zh="检查数据库是否完好，数一数里面有什么。",
                en="Check that a database is whole, and count what is in it.",
            ),
            "renshe db check renshe.db",
        ),
        (
            "export",
            export,
            say(
                zh="把一个人的全部数据写成 JSON，一行一条。",
                en="Print all that is kept of a person as JSON lines.",
            ),
            "renshe db export renshe.db --user telegram:12345 > 12345.jsonl",
        ),
        (
            "forget",
            forget,
            say(zh="删掉一个人的全部数据。", en="Delete all that is kept of a person."),
            "renshe db forget renshe.db --user telegram:12345",
        ),
        (
            "prune",
            prune,
            say(
                zh="删掉很久以前收发的消息；对话历史留着。",
                en="Delete messages received and sent long ago; histories stay.",
            ),
            "renshe db prune renshe.db --days 90",
        ),
        (
            "backup",
            backup,
            say(zh="复制一份完整的数据库。", en="Make a whole copy of a database."),
            "renshe db backup renshe.db backup.db",
        ),
    ):
        add(group, name, command, about=about, example=example)


def check(file: File) -> None:
    """Print what SQLite finds and how much there is."""
    require_extra()
    from bot.maintenance import check_database

    for name, number in check_database(file).items():
        typer.echo(f"{name}: {number}")


def export(file: File, user: User) -> None:
    """Print a person's rows."""
    require_extra()
    from bot.maintenance import export_user

    for row in export_user(file, user):
        typer.echo(json.dumps(row, ensure_ascii=False))


def forget(file: File, user: User) -> None:
    """Delete a person's rows."""
    require_extra()
    from bot.maintenance import forget_user

    number = forget_user(file, user)
    typer.echo(say(zh=f"删掉了 {number} 条", en=f"deleted: {number}"))


def prune(
    file: File,
    days: Annotated[
        int, typer.Option(min=1, help=say(zh="早于这么多天的", en="Older than so many days."))
    ],
) -> None:
    """Delete old rows of what is done with."""
    require_extra()
    from bot.maintenance import prune_database

    number = prune_database(file, days)
    typer.echo(say(zh=f"删掉了 {number} 条", en=f"deleted: {number}"))


def backup(
    file: File,
    to: Annotated[
        Path, typer.Argument(metavar="COPY", help=say(zh="写到这里", en="Where to write it."))
    ],
) -> None:
    """Copy the database as it is at one moment."""
    require_extra()
    from bot.maintenance import back_up

    back_up(file, to)
    typer.echo(str(to))

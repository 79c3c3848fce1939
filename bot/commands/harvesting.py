"""``harvest``: corrections from chats become training examples, one by one, by a person's word."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.commands.extra import require_extra
from trainer.commands.bilingual import add
from trainer.language import say

if TYPE_CHECKING:
    from bot.harvest import Correction


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "harvest",
        harvest,
        about=say(
            zh="把聊天里 /correct 纠正过的回答逐条过目，写进人设文件的 dialogues，再训练就学会了。",
            en="Review what was put right with /correct in chats, one by one, and write it into "
            "the persona's dialogues, to be learnt at the next training.",
        ),
        example="renshe harvest renshe.db --name muxue --into personas/muxue.yaml",
    )


def harvest(
    database: Annotated[
        Path,
        typer.Argument(
            metavar="DATABASE",
            help=say(zh="数据库，renshe.yaml 里的 store", en="The `store` file."),
        ),
    ],
    name: Annotated[
        str,
        typer.Option(
            help=say(zh="人设在 renshe.yaml 里的名字", en="The persona's name in renshe.yaml.")
        ),
    ],
    into: Annotated[
        Path, typer.Option(metavar="FILE", help=say(zh="人设文件", en="The persona file."))
    ],
) -> None:
    """Ask about each correction; write those that are wanted, forget those that are not."""
    require_extra()
    from bot.harvest import add_dialogues, corrections, drop

    found = corrections(database, name)
    if not found:
        typer.echo(say(zh="没有要过目的纠正", en="there is nothing to review"))
        return
    answers = [(one, _asked(one)) for one in found]
    wanted = [one for one, answer in answers if answer == "y"]
    unwanted = [one for one, answer in answers if answer == "n"]
    if wanted:
        add_dialogues(into, wanted)
    drop(database, [*wanted, *unwanted])
    typer.echo(
        say(
            zh=f"{into}：加了 {len(wanted)} 段，丢掉 {len(unwanted)} 段",
            en=f"{into}: added {len(wanted)}, dropped {len(unwanted)}",
        )
    )


def _asked(one: Correction) -> str:
    """Show a correction and return y, n or s."""
    typer.echo(f"\n  > {one.user}\n  - {one.wrong}\n  + {one.bot}")
    question = say(zh="写进去吗？y 写，n 丢掉，s 以后再说", en="add it? y yes, n drop it, s later")
    answer = ""
    while answer not in ("y", "n", "s"):
        answer = typer.prompt(question, default="s").strip().lower()[:1]
    return answer

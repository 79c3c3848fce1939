"""``bases``: which base models there are, the command that brings one, and what one is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.errors import BaseModelError
from trainer.language import say

if TYPE_CHECKING:
    from trainer.bases import EmbeddedBase


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "bases",
        bases,
        about=say(
            zh="列出底座：大小、语言、许可证，装了没有；或者只看一个：认成什么，缺什么。",
            en="List the base models: size, languages, licence, and whether they are installed; "
            "or look at one: what it is taken for, and what is wrong with it.",
        ),
        example="renshe bases\nrenshe bases --inspect ~/chatglm2-6b\n"
        "renshe train personas/muxue.yaml --base tiny --out run",
    )


def bases(
    inspect: Annotated[
        str | None,
        typer.Option(
            "--inspect",
            metavar="NAME|PATH",
            help=say(
                zh="看这个底座是什么，并检查它的文件；不载入权重",
                en="Say what this base is and check its files, without loading it.",
            ),
        ),
    ] = None,
) -> None:
    """Print the registry as a table, or what one base is."""
    if inspect is None:
        _list()
    else:
        _inspect(inspect)


def _inspect(name: str) -> None:
    from rich.cells import set_cell_size

    from trainer.commands.screen import console, reporting, show_faults

    with reporting() as report:
        report(say(zh="读取文件头", en="reading the headers"), 0.0)
        from trainer.inspect_base import inspect_base

        seen = inspect_base(name)
    out = console()
    for heading, value in seen.rows:  # wrapped by the terminal alone, so that all can be copied
        out.print(set_cell_size(heading, 17) + value, markup=False, soft_wrap=True)
    if seen.errors:
        raise BaseModelError(faults=tuple(seen.faults))
    show_faults(seen.faults, severities=True)


def _list() -> None:
    from rich.table import Table

    from trainer.bases import EMBEDDED
    from trainer.commands.screen import console

    table = Table()
    table.add_column(say(zh="名字", en="name"), no_wrap=True)
    for heading in (
        say(zh="模型", en="model"),
        say(zh="大小", en="size"),
        say(zh="语言", en="languages"),
        say(zh="许可证", en="licence"),
        say(zh="状态", en="state"),
    ):
        table.add_column(heading, overflow="fold")
    for base in EMBEDDED:
        table.add_row(
            base.name,
            base.title,
            f"{base.size / 1e6:.0f} MB",
            base.languages,
            base.licence.partition(", ")[0],
            _state(base),
        )
    out = console()
    out.print(table)
    for line in _notes(EMBEDDED):
        out.print(line, markup=False, soft_wrap=True)
    out.print(
        say(
            zh="--base 也可以是 ChatGLM2/3 的官方文件夹、Hugging Face 格式的文件夹，"
            "或者 .gguf 文件。",
            en="--base also takes an official ChatGLM2/3 folder, a Hugging Face folder or a "
            ".gguf file.",
        )
    )


def _notes(bases: Sequence[EmbeddedBase]) -> Iterator[str]:
    """Yield what is to be copied whole: where the terms lie, what brings a missing base."""
    for base in bases:
        if terms := base.licence.partition(", ")[2]:
            yield say(zh=f"{base.name} 的许可条款：{terms}", en=f"terms of {base.name}: {terms}")
        if base.paths() is None:
            yield say(zh=f"安装 {base.name}：", en=f"to install {base.name}: ") + base.install


def _state(base: EmbeddedBase) -> str:
    """Say whether a base can be used, and whether that is quick: it is converted only once."""
    from trainer.bases import converted_folder

    if base.paths() is None:
        return say(zh="未安装", en="missing")
    # A finished conversion is moved in whole, so its folder tells.
    if converted_folder(base.sha256).is_dir():
        return say(zh="已安装，已转换", en="installed, converted")
    return say(zh="已安装，未转换", en="installed, not converted")

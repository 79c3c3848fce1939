"""``compile``: what a persona teaches and what it is asked, written out to be looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.errors import ConfigError
from trainer.language import say

if TYPE_CHECKING:
    from trainer.dataset import Dataset
    from trainer.example import Example
    from trainer.mix_settings import Mix


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "compile",
        compile_command,
        about=say(
            zh="把人设编译成数据集：train.json、dev.json 和 manifest.json。"
            "（renshe train 会自己编译，不必先做这一步。）",
            en="Compile a persona into a dataset: train.json, dev.json and manifest.json. "
            "(renshe train compiles by itself; this step may be left out.)",
        ),
        example="renshe compile personas/muxue.yaml --out data/muxue\n"
        "renshe compile personas/muxue.yaml --out data/muxue-mix --mix --set passes=12\n"
        "renshe compile personas/muxue.yaml --out data/muxue-replay --mix --set replay=0.2",
    )


def compile_command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help=say(zh="人设文件", en="A persona file."))
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help=say(zh="写到这个文件夹", en="Where to write."))
    ],
    seed: Annotated[
        int,
        typer.Option(
            help=say(
                zh="换一个种子，就换一批留作检验的问法",
                en="Another seed keeps other wordings for the test.",
            )
        ),
    ] = 0,
    mix: Annotated[
        bool,
        typer.Option(
            "--mix",
            help=say(
                zh="把问题放进对话里：闲聊之后、露馅之后再问，一问多种说法",
                en="Put the questions into conversations: after other talk, after a broken "
                "character, in more wordings.",
            ),
        ),
    ] = False,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=say(
                zh="改一项 --mix 的设置，可以写多次",
                en="Change one setting of --mix; may be repeated.",
            ),
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help=say(
                zh="replay 的闲聊由这个底座来答；不写就是 tiny",
                en="The base that answers the talk of replay; tiny if left out.",
            ),
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help=say(
                zh="文件夹里有别的东西也照写", en="Write although the folder holds something else."
            ),
        ),
    ] = False,
) -> None:
    """Write the dataset and say what is in it."""
    from trainer.commands.screen import console
    from trainer.dataset import compile_persona, write_dataset
    from trainer.persona import load_persona

    settings = mix_settings(mix, overrides or [])
    _refuse_needless(base, settings)
    dataset = compile_persona(load_persona(file), seed=seed)
    if settings:
        from trainer.mix import mixed

        replies = _replies(dataset, settings, base or "tiny") if settings.replay else ()
        dataset = mixed(dataset, settings, replies)
    write_dataset(dataset, out, force=force)
    console().print(
        f"{_extent(dataset)}\n  renshe train {out} --out run", markup=False, soft_wrap=True
    )


def mix_settings(mix: bool, overrides: Sequence[str]) -> Mix | None:
    """Return the settings of the mix, or nothing where none is asked for."""
    from trainer.config import load_settings
    from trainer.mix_settings import Mix

    if overrides and not mix:
        raise ConfigError(
            say(zh="--set 改的是 --mix 的设置", en="--set changes settings of --mix"),
            fix=say(zh="加上 --mix", en="add --mix"),
            code="set-without-mix",
        )
    return load_settings(Mix, None, overrides) if mix else None


def _refuse_needless(base: str | None, settings: Mix | None) -> None:
    if base is not None and not (settings and settings.replay):
        raise ConfigError(
            say(
                zh="--base 只用于 replay：让底座自己答的闲聊",
                en="--base is for replay only: general talk that the base itself answers",
            ),
            fix=say(zh="加上 --mix --set replay=0.2", en="add --mix --set replay=0.2"),
            code="needless-base",
        )


def _replies(dataset: Dataset, settings: Mix, base: str) -> tuple[Example, ...]:
    from trainer.bases import find_base
    from trainer.commands.screen import reporting
    from trainer.model import load_base
    from trainer.replay import replayed

    manifest = dataset.manifest
    with reporting() as report:
        stored = find_base(base, report).bits
        loaded = load_base(base, bits=stored or 8, report=report)
        stage = say(zh="底座在答闲聊", en="the base answers general talk")
        return replayed(
            loaded,
            manifest.persona,
            round(settings.replay * manifest.counts["train"]["pair"]),
            kept=dataset.dev,
            seed=manifest.seed,
            report=lambda done: report(stage, done),
        )


def _extent(dataset: Dataset) -> str:
    asked = sum(len(wordings) for wordings in dataset.manifest.dev_wordings.values())
    return say(
        zh=f"{len(dataset.train)} 段对话用来学，{len(dataset.dev)} 段留作检验"
        f"（其中 {asked} 个没见过的问法）。接下来：",
        en=f"{len(dataset.train)} conversations to learn from, {len(dataset.dev)} kept for the "
        f"test ({asked} of them wordings never seen). Next:",
    )

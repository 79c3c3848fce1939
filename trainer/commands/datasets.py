"""``compile``: what a persona teaches and what it is asked, written out to be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.language import say

if TYPE_CHECKING:
    from trainer.dataset import Dataset


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
        example="renshe compile personas/muxue.yaml --out data/muxue",
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

    dataset = compile_persona(load_persona(file), seed=seed)
    write_dataset(dataset, out, force=force)
    console().print(
        f"{_extent(dataset)}\n  renshe train {out} --out run", markup=False, soft_wrap=True
    )


def _extent(dataset: Dataset) -> str:
    asked = sum(len(wordings) for wordings in dataset.manifest.dev_wordings.values())
    return say(
        zh=f"{len(dataset.train)} 段对话用来学，{len(dataset.dev)} 段留作检验"
        f"（其中 {asked} 个没见过的问法）。接下来：",
        en=f"{len(dataset.train)} conversations to learn from, {len(dataset.dev)} kept for the "
        f"test ({asked} of them wordings never seen). Next:",
    )

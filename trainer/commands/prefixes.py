"""``prefix import`` and ``prefix export``: P-Tuning checkpoints of other tools, both ways."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from trainer.commands.bilingual import add, command_group
from trainer.language import say

if TYPE_CHECKING:
    from trainer.bases import BaseSource
    from trainer.quantize import Bits

_BITS: dict[str, Bits | None] = {"8": 8, "4": 4, "none": None}


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``, under ``prefix``."""
    group = command_group(
        app,
        "prefix",
        about=say(
            zh="导入、导出前缀：官方 ChatGLM 的 P-Tuning v2 检查点，PEFT 的适配器。",
            en="Import or export a prefix: official ChatGLM P-Tuning v2 and PEFT adapters.",
        ),
        example="renshe prefix import output/adgen-chatglm2-6b-pt/checkpoint-3000 "
        "--base chatglm2-6b-int4 --persona personas/muxue.yaml --out run\n"
        "renshe prefix export run --to official --out for-web-demo",
    )
    add(
        group,
        "import",
        import_command,
        about=say(
            zh="把别的工具训练的前缀变成一次训练的文件夹：可以聊天、评测，也可以接着练。",
            en="Make a run folder of another tool's prefix: to talk to, to measure, to train on.",
        ),
        example="renshe prefix import checkpoint-3000 --base chatglm2-6b "
        "--persona personas/muxue.yaml --out run\nrenshe chat run",
    )
    add(
        group,
        "export",
        export_command,
        about=say(
            zh="把训练好的前缀写成官方 web_demo 或 PEFT 能读的样子。",
            en="Write a tuned prefix as the official web_demo or PEFT reads it.",
        ),
        example="renshe prefix export run --to official --out ptuning-checkpoint\n"
        "renshe prefix export run --to peft --out adapter",
    )


def import_command(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH",
            help=say(
                zh="官方 ptuning 的 checkpoint-N 文件夹，或 PEFT 的适配器文件夹",
                en="A checkpoint-N folder of the official ptuning, or PEFT's adapter folder.",
            ),
        ),
    ],
    base: Annotated[
        str,
        typer.Option(
            metavar="NAME|PATH",
            help=say(zh="训练这个前缀时的底座", en="The base that the prefix was trained on."),
        ),
    ],
    persona: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help=say(
                zh="它是谁：人设文件。检查点里没有写，评测也按它来问",
                en="Whose prefix it is: a persona file. The checkpoint does not say, and eval "
                "asks by it.",
            ),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="RUN", help=say(zh="写到这个新文件夹", en="A new folder to write.")),
    ],
    bits: Annotated[
        Literal["8", "4", "none"] | None,
        typer.Option(
            metavar="8|4|none",
            help=say(
                zh="底座权重的位数；不写就和训练时一样，看不出来就是 8",
                en="Bits of the base's weights; by default as in its training, or 8 where that "
                "is not told.",
            ),
        ),
    ] = None,
    chat_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=say(
                zh="训练时对话怎么写；不写就用底座自己的",
                en="How its conversations were written; by default the base's own.",
            ),
        ),
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=say(
                zh="训练时一段对话最多几轮，聊天时也只看这么多轮；不写就看人设里最长的对话",
                en="Most rounds of a conversation in its training, and so in chat; by default "
                "those of the persona's longest dialogue.",
            ),
        ),
    ] = None,
    anchored: Annotated[
        bool,
        typer.Option(
            "--anchored",
            help=say(
                zh="它只练过第一轮（官方 train.sh）：聊天时每个问题都放在第一轮的位置上，"
                "多聊几轮也不丢",
                en="It was trained on round one only (the official train.sh): in chat, put every "
                "question where round one stands, so that it is not lost after some rounds.",
            ),
        ),
    ] = False,
) -> None:
    """Read the prefix, check it against the base, and write the run."""
    from trainer.commands.screen import console, reporting
    from trainer.persona import load_persona

    owner = load_persona(persona)
    with reporting() as report:
        report(say(zh="准备", en="getting ready"), 0.0)
        from trainer.bases import find_base
        from trainer.imported_run import import_run, likely_bits

        source = find_base(base, report)
        chosen = _BITS[bits] if bits else likely_bits(path, source)
        card = import_run(
            path,
            source,
            owner,
            out,
            bits=chosen,
            chat_format=chat_format,
            depth=depth,
            anchored=anchored,
        )
    told = card.bits or say(zh="不量化", en="none")
    console().print(
        say(
            zh=f"{owner.name}的前缀：长 {card.pre_seq_len}，底座 {base}，位数 {told}，"
            f"对话格式 {card.chat_format}，最多 {card.depth} 轮。\n"
            "评测用这份人设的问题；它以前的训练可能见过其中一些。",
            en=f"The prefix of {owner.name}: length {card.pre_seq_len}, base {base}, bits {told}, "
            f"chat format {card.chat_format}, up to {card.depth} rounds.\n"
            "eval asks this persona's questions; its former training may have seen some of them.",
        )
        + f"\n  renshe chat {out}\n  renshe eval {out}",
        markup=False,
        soft_wrap=True,
    )


def export_command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help=say(zh="训练时的 --out 文件夹", en="The --out of renshe train.")
        ),
    ],
    to: Annotated[
        Literal["official", "peft"],
        typer.Option(
            metavar="official|peft",
            help=say(
                zh="official：官方 ChatGLM 的 ptuning；peft：PEFT 的 prefix tuning",
                en="official: ptuning of ChatGLM's own code; peft: PEFT's prefix tuning.",
            ),
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help=say(zh="写到这个新文件夹", en="A new folder to write.")),
    ],
) -> None:
    """Write the last checkpoint's prefix in the other layout."""
    from trainer.checkpoint import open_checkpoint, verify_base
    from trainer.commands.screen import console, reporting

    checkpoint = open_checkpoint(run)
    with reporting() as report:
        report(say(zh="准备", en="getting ready"), 0.0)
        from trainer.bases import find_base
        from trainer.prefix import Prefix
        from trainer.prefix_export import write_official, write_peft

        source = find_base(checkpoint.card.base, report)
        verify_base(checkpoint, checkpoint.card.base, source.sha256)
        prefix = Prefix.from_tensors(checkpoint.tensors(), anchored=checkpoint.card.anchored)
        (write_official if to == "official" else write_peft)(prefix, source, out)
    screen = console()
    screen.print(say(zh=f"写进了 {out}", en=f"written to {out}"), markup=False, soft_wrap=True)
    if to == "peft":
        for limit in _peft_limits(source):
            screen.print(limit, markup=False, soft_wrap=True)


def _peft_limits(source: BaseSource) -> Iterator[str]:
    """Yield in what an adapter is not the same model any more."""
    from trainer.prefix_table import base_config

    if source.official:
        yield say(
            zh="它要和 transformers 自带的 GlmForCausalLM 一起用，不是官方文件夹里的代码。",
            en="It is for transformers' own GlmForCausalLM, not for the official folder's code.",
        )
    window = getattr(base_config(source), "sliding_window", None)
    if window:
        yield say(
            zh=f"这个底座有些层只看最近 {window} 个位置：聊得更长时，PEFT 会让前缀从这些层消失，"
            "renshe 不会。",
            en=f"Some layers of this base see the last {window} positions only: in a longer talk "
            "PEFT loses the prefix from them, renshe does not.",
        )

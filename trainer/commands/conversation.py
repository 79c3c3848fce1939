"""``chat``: talk to a run in the terminal, or through a pipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.language import say

if TYPE_CHECKING:
    from trainer.guard import Counts


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "chat",
        chat,
        about=say(
            zh="在终端里和它聊天。说 /help 看有什么命令。",
            en="Talk to it in the terminal. Say /help for the commands.",
        ),
        example=say(
            zh="renshe chat run\necho 你是谁 | renshe chat run",
            en="renshe chat run\necho 'Who are you?' | renshe chat run",
        ),
    )


def chat(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help=say(zh="训练时的 --out 文件夹", en="The --out of renshe train.")
        ),
    ],
    temperature: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=2.0,
            metavar="0-2",
            help=say(
                zh="0 每次说一样的话，越高越多变", en="0 always says the same; higher varies more."
            ),
        ),
    ] = 0.0,
    seed: Annotated[int, typer.Option(help=say(zh="抽样的种子", en="Seed of the sampling."))] = 0,
    no_guard: Annotated[
        bool,
        typer.Option(
            "--no-guard",
            help=say(
                zh="露馅的话也照样显示、照样记住，给开发的人看",
                en="Show and remember leaks too, for whoever works on the model.",
            ),
        ),
    ] = False,
) -> None:
    """Load the run and talk until the user leaves."""
    from trainer.commands.run_report import tell_backend
    from trainer.commands.screen import reporting

    with reporting() as report:
        report(say(zh="准备", en="getting ready"), 0.0)
        from trainer.commands.talk_loop import Talk
        from trainer.guard import guarded, unguarded
        from trainer.model import load_tuned
        from trainer.sampling import Sampling

        tuned = load_tuned(run, report=report)
    tell_backend(tuned.base)
    persona, sampling = tuned.card.persona, Sampling(temperature=temperature, seed=seed)
    if no_guard:
        Talk(persona, unguarded(tuned), sampling).run()
        return
    guard = guarded(tuned)
    Talk(persona, guard.stream, sampling).run()
    _tell(guard.counts)


def _tell(counts: Counts) -> None:
    """Say what the guard did, if anything; beside the talk, not in it."""
    from trainer.commands.screen import console

    done = [
        (counts.redrawn, say(zh="重说 {} 次", en="{} drawn again")),
        (counts.replaced, say(zh="改说台词 {} 次", en="{} replaced by a fallback line")),
        (counts.shortened, say(zh="截短 {} 次", en="{} cut short")),
        (counts.dropped, say(zh="不给它看的旧对话 {} 轮", en="{} old rounds kept from the model")),
    ]
    told = say(zh="，", en=", ").join(text.format(number) for number, text in done if number)
    if told:
        line = say(
            zh=f"露馅检查：{counts.asked} 句回答，{told}",
            en=f"leak guard: {counts.asked} replies, {told}",
        )
        console(errors=True).print(line, style="dim", markup=False, soft_wrap=True)

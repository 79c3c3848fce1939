"""What is said of a run before it starts and when it has ended.

Steps and epochs are both told beforehand: steps are what one waits for, and epochs are
what tells a run that learns from one that learns by heart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.errors import Fault
from trainer.language import say

if TYPE_CHECKING:
    from trainer.model import Base
    from trainer.train import Outcome, Run
    from trainer.training_set import TrainingSet


def announce(run: Run, training_set: TrainingSet) -> None:
    """Say what the run amounts to, and warn loudly if it is far too much."""
    from rich.table import Table
    from rich.text import Text

    from trainer.commands.screen import console, show_faults

    table = Table(box=None, show_header=False, pad_edge=False)
    for name, figure in _figures(run, training_set):
        table.add_row(name, Text(figure))  # a path may hold what rich takes for markup
    console().print(table)
    if run.plan.overdone:
        show_faults([_overdone(run)], severities=True)


def tell_backend(base: Base) -> None:
    """Say which code unpacks the weights and why; beside the results, not among them."""
    from trainer.commands.screen import console

    if base.backend:
        told = say(zh=f"反量化：{base.backend}", en=f"weights unpacked by {base.backend}")
        console(errors=True).print(told, style="dim", markup=False, soft_wrap=True)


def tell_outcome(run: Run, outcome: Outcome) -> None:
    """Say how the run ended and what to do next."""
    from trainer.checkpoint import open_checkpoint
    from trainer.commands.screen import console

    out = console()
    if outcome.reason == "interrupted":
        out.print(
            say(zh=f"停在第 {outcome.step} 步，已经存盘。", en=f"Saved at step {outcome.step}.")
            + say(zh="继续：", en=" To go on:")
            + f"\n  renshe train --resume --out {run.folder}",
            markup=False,
            soft_wrap=True,
        )
        return
    last = open_checkpoint(run.folder)
    loss = "-" if last.card.dev_loss is None else f"{last.card.dev_loss:.3f}"
    early = say(zh="（提前停止）", en=" (stopped early)") if outcome.reason != "finished" else ""
    out.print(
        say(
            zh=f"练完了{early}。检查点：{last.folder}（dev loss {loss}）",
            en=f"Done{early}. Checkpoint: {last.folder} (dev loss {loss})",
        )
        + f"\n  renshe chat {run.folder}\n  renshe eval {run.folder}\n  renshe demo {run.folder}",
        markup=False,
        soft_wrap=True,
    )


def _figures(run: Run, training_set: TrainingSet) -> list[tuple[str, str]]:
    plan, base, dataset = run.plan, run.base, training_set.dataset
    bits = run.base.bits or say(zh="不量化", en="not quantized")
    unpacked = [(say(zh="反量化", en="backend"), str(base.backend))] if base.backend else []
    kinds = ", ".join(f"{kind} {n}" for kind, n in dataset.manifest.counts["train"].items())
    return [
        (say(zh="人设", en="persona"), training_set.persona.name),
        (
            say(zh="底座", en="base"),
            say(
                zh=f"{base.source.name}，位数 {bits}，{base.device}",
                en=f"{base.source.name}, bits {bits}, {base.device}",
            ),
        ),
        *_found(base),
        *unpacked,
        (
            say(zh="数据", en="data"),
            say(
                zh=f"训练 {len(dataset.train)}（{kinds}），检验 {len(dataset.dev)}",
                en=f"train {len(dataset.train)} ({kinds}), dev {len(dataset.dev)}",
            ),
        ),
        (
            say(zh="步数", en="steps"),
            say(
                zh=f"{plan.steps} 步，也就是 {plan.epochs:.1f} 轮（epoch）",
                en=f"{plan.steps}, which is {plan.epochs:.1f} epochs",
            ),
        ),
        (
            say(zh="前缀", en="prefix"),
            say(
                zh=f"长 {plan.pre_seq_len}，训练 {plan.parameters:,} 个参数，底座不变",
                en=f"length {plan.pre_seq_len}, {plan.parameters:,} trained parameters",
            ),
        ),
    ]


def _found(base: Base) -> list[tuple[str, str]]:
    """Say what a base given by its path was taken for; the registered ones are known."""
    from trainer.bases import EMBEDDED
    from trainer.inspect_base import found

    if any(known.name == base.source.name for known in EMBEDDED):
        return []
    kind = base.network.config.model_type
    return [(say(zh="认出", en="found"), found(base.source, kind, base.chat.format.name))]


def _overdone(run: Run) -> Fault:
    fewer = max(1, round(run.plan.steps * 30 / run.plan.epochs))
    return Fault(
        say(
            zh=f"每条数据要看 {run.plan.epochs:.0f} 遍：它会把例子背下来，别的都忘掉",
            en=f"each example is seen {run.plan.epochs:.0f} times: it will learn the examples "
            "by heart and forget everything else",
        ),
        fix=say(
            zh=f"少练一些，如 --set max_steps={fewer}，或者多写几条数据",
            en=f"train less, say --set max_steps={fewer}, or write more examples",
        ),
        code="overdone",
        severity="warning",
    )

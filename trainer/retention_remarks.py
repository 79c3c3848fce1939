"""Figures as text, and what must be said beside them: what was not measured, and why.

A figure that is missing without a word is taken for a good one.
"""

from __future__ import annotations

from collections.abc import Iterator

from trainer.bootstrap import Figure
from trainer.language import say
from trainer.probes import history_name
from trainer.retention_file import Retention, Skipped


def share(figure: Figure | None, *, interval: bool = True) -> str:
    """Return a share in percent, with its interval; a dash if it was not measured."""
    if figure is None:
        return "–"
    text = f"{figure.value:.0%}"
    if not interval or figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low * 100:.0f}–{figure.high * 100:.0f}]"


def nats(figure: Figure | None, *, interval: bool = True) -> str:
    """Return a difference of likelihoods, signed; a dash if it was not measured."""
    if figure is None:
        return "–"
    text = f"{figure.value:+.2f}"
    if not interval or figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low:+.2f}, {figure.high:+.2f}]"


def remarks(retention: Retention) -> Iterator[str]:
    """Yield a sentence for each thing that was left out."""
    yield from map(_skipped, retention.skipped)
    cells = retention.cells
    if cells and all(cell.leaks is None for cell in cells):
        yield say(
            zh="人设没有写 leaks：露馅没有测。写上几条再训练一次。",
            en="The persona has no leaks: Leak was not measured. Write some and train again.",
        )
    if cells and all(cell.contradictions is None for cell in cells):
        yield say(
            zh="问到的事实都没有 reject：自相矛盾没有测。",
            en="None of the facts asked has a reject: contradictions were not measured.",
        )
    if cells and all(cell.margin is None for cell in cells):
        yield say(
            zh="没见过的问法里没有问名字、身份的：身份边距没有测。",
            en="No held-out wording asks who it is: the identity margin was not measured.",
        )
    if retention.left_out:
        yield say(
            zh=f"测试用的闲聊里有 {retention.left_out} 句人设自己也写了，没有用。",
            en=f"Texts of the test talk that the persona's file also holds, not used: "
            f"{retention.left_out}.",
        )


def _skipped(cell: Skipped) -> str:
    name = history_name(cell.history)
    if cell.reason == "context":
        return say(
            zh=f"{name} k={cell.depth} 没有测：要 {cell.needs} 个 token，"
            f"底座只剩 {cell.has} 个的位置。",
            en=f"{name} k={cell.depth} was not measured: it takes {cell.needs} tokens, the base "
            f"has room for {cell.has}.",
        )
    if cell.reason == "tokens":
        return say(
            zh=f"{name} 没有测：测试用的闲聊只有 {cell.has} 个 token，不到 {cell.needs} 个。",
            en=f"{name} was not measured: the test talk has {cell.has} tokens, not {cell.needs}.",
        )
    return say(
        zh=f"{name} k={cell.depth} 没有测：只写了 {cell.has} 轮。",
        en=f"{name} k={cell.depth} was not measured: only {cell.has} rounds were written.",
    )

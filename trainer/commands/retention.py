"""``eval --retention``: whether the persona holds as a conversation goes on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from trainer.errors import ConfigError
from trainer.language import say

if TYPE_CHECKING:
    from rich.table import Table

    from trainer.dataset import Dataset
    from trainer.extent import Extent
    from trainer.retention_file import Cell, Retention

REPORT = "retention.html"


def read_depths(text: str) -> tuple[int, ...]:
    """Read ``--depths``.

    Raises:
        ConfigError: it is no list of numbers.
    """
    parts = [part.strip() for part in text.split(",")]
    if all(part.isascii() and part.isdecimal() and len(part) < 7 for part in parts):
        return tuple(sorted({int(part) for part in parts}))
    raise ConfigError(
        say(
            zh=f"--depths {text!r} 不是用逗号隔开的轮数",
            en=f"--depths {text!r} is no list of numbers with commas between",
        ),
        fix="--depths 0,2,8",
        code="depths",
    )


def measure_retention(
    run: Path, folder: Path, dataset: Dataset, extent: Extent, *, fresh: bool
) -> None:
    """Measure what is not measured yet, print, and write the figures and the report.

    Args:
        run: a run folder or a checkpoint's.
        folder: the run folder.
        dataset: what was trained on.
        extent: what is measured.
        fresh: begin anew.
    """
    from trainer.commands.run_report import tell_backend
    from trainer.commands.screen import console, reporting
    from trainer.model import load_tuned
    from trainer.report import write_report
    from trainer.retention import measure
    from trainer.retention_file import FILE

    path = folder / "eval" / FILE
    try:
        with reporting() as report:
            tuned = load_tuned(run, report=report)
            retention = measure(tuned, dataset, path, extent, fresh=fresh, report=report)
    except KeyboardInterrupt:
        told = say(
            zh="停下了。测完的都存着，再跑一次就接着测。",
            en="Stopped. What was measured is kept; run it again to go on.",
        )
        console(errors=True).print(told)
        raise
    write_report(retention, path.with_name(REPORT))
    tell_backend(tuned.base)
    show(retention)
    told = say(zh="写进了", en="written to")
    console().print(f"{told} {path}\n{told} {path.with_name(REPORT)}", markup=False, soft_wrap=True)


def show(retention: Retention) -> None:
    """Print the figures of a run."""
    from trainer.commands.screen import console
    from trainer.retention_remarks import remarks

    out = console()
    out.print(_table(retention))
    for line in [*_sums(retention), *remarks(retention)]:
        out.print(line, markup=False, soft_wrap=True)


def _table(retention: Retention) -> Table:
    from rich import box
    from rich.table import Table

    from trainer.probes import history_name

    title = say(
        zh="聊了几轮再问，还是不是它（方括号里是 95% 区间）",
        en="is it still itself after some rounds (95 % intervals in brackets)",
    )
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(say(zh="先聊", en="after"), no_wrap=True)
    headings = (
        say(zh="轮数", en="rounds"),
        "token",
        "Recall",
        "TrainPair",
        "Leak",
        say(zh="矛盾", en="contra."),
        "ΔNLL",
        say(zh="边距", en="margin"),
    )
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in retention.cells:
        table.add_row(history_name(cell.history), *_row(cell))
    return table


def _row(cell: Cell) -> Sequence[str]:
    from trainer.retention_remarks import nats, share

    return (
        str(cell.depth),
        str(cell.tokens),
        share(cell.recall),
        share(cell.train_pair),
        share(cell.leaks),
        share(cell.contradictions, interval=False),
        nats(cell.delta_nll, interval=False),
        nats(cell.margin, interval=False),
    )


def _sums(retention: Retention) -> list[str]:
    from trainer.probes import history_name
    from trainer.retention_remarks import nats, share

    areas = ", ".join(f"{history_name(h)} {share(a)}" for h, a in retention.areas.items())
    forgetting = retention.forgetting
    seconds = sum(cell.seconds for cell in retention.cells)
    seconds += forgetting.seconds if forgetting else 0
    peaks = [cell.peak_memory for cell in retention.cells if cell.peak_memory is not None]
    lines = [
        say(zh=f"Recall 曲线下面积：{areas}", en=f"area under Recall over depth: {areas}")
        if areas
        else "",
        say(
            zh=f"遗忘（闲聊的 NLL，有前缀减没有）：{nats(forgetting.figure)} 奈特/token",
            en=f"forgetting (NLL of small talk, with the prefix minus without): "
            f"{nats(forgetting.figure)} nats a token",
        )
        if forgetting
        else "",
        say(zh=f"用时 {seconds / 60:.1f} 分钟", en=f"{seconds / 60:.1f} minutes")
        + (
            say(zh="，内存峰值 ", en=", peak memory ") + f"{max(peaks) / 1e9:.2f} GB"
            if peaks
            else ""
        ),
    ]
    return [line for line in lines if line]

"""What goes to the terminal: faults with their places, and progress with an estimate.

Colours, bars and wrapping are for people; a file or a pipe gets plain lines that a
program can read, place first, as compilers write them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trainer.errors import Fault
from trainer.language import say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as Bars

    from trainer.train import Progress

Report = Callable[[str, float], None]
"""Told what is being done and how much of it is done, from 0 to 1."""

SILENCE = 10.0
"""Seconds after which a log without a terminal is told that the work goes on."""


def console(*, errors: bool = False) -> Console:
    """Return the terminal: standard output, or standard error for errors and progress."""
    from rich.console import Console

    return Console(stderr=errors, highlight=False)


def show_faults(faults: Iterable[Fault], *, errors: bool = True, severities: bool = False) -> None:
    """Print each fault as ``place: problem``, and below it what to do about it.

    Args:
        faults: in the order in which they are printed.
        errors: print to standard error.
        severities: say of each whether it is an error or a warning.
    """
    from rich.text import Text

    out = console(errors=errors)
    for fault in faults:
        colour = "red" if fault.severity == "error" else "yellow"
        line = Text()
        if fault.place:
            line.append(f"{fault.place}: ", "bold")
        if severities:
            line.append(f"{severity(fault)}: ", f"bold {colour}")
        line.append(fault.problem, "" if severities else colour)
        if fault.fix:
            line.append(f"\n  → {fault.fix}", "dim")
        # Wrapped by the terminal alone, so that a place or a command can be copied whole.
        out.print(line, soft_wrap=True)


def severity(fault: Fault) -> str:
    """Name a fault's severity."""
    if fault.severity == "error":
        return say(zh="错误", en="error")
    return say(zh="警告", en="warning")


@contextmanager
def reporting() -> Iterator[Report]:
    """Show the progress of whatever takes a :data:`Report`; the bar goes when it is done."""
    out = console(errors=True)
    if not out.is_terminal:
        yield _Lines(out)
        return
    with _bars(out, "{task.percentage:>3.0f}%", transient=True) as bars:
        yield _Bar(bars)


@contextmanager
def watching(steps: int, done: int = 0) -> Iterator[Callable[[Progress], None]]:
    """Show a training run: a bar of ``steps``, of which ``done`` were done before, or lines."""
    out = console(errors=True)
    if not out.is_terminal:
        yield _Run(
            lambda progress, text: out.print(f"{_steps(progress, done)}  {text}", soft_wrap=True)
        )
        return
    columns = ("{task.completed}/{task.total}", "{task.fields[figures]}")
    with _bars(out, *columns, transient=False) as bars:
        name = say(zh="训练", en="training")
        task = bars.add_task(name, total=steps, completed=done, figures="")
        yield _Run(lambda progress, text: bars.update(task, completed=progress.step, figures=text))


class _Run:
    """A listener that puts a run's figures in one line and hands them on."""

    def __init__(self, show: Callable[[Progress, str], None]) -> None:
        self._show = show
        self._former: Progress | None = None
        self._dev_loss: float | None = None
        self._retention: float | None = None

    def __call__(self, progress: Progress) -> None:
        if progress.dev_loss is not None:
            self._dev_loss = progress.dev_loss
        figures = [f"loss {progress.loss:.3f}"]
        if self._dev_loss is not None:
            figures.append(f"dev {self._dev_loss:.3f}")
        if progress.retention is not None:
            self._retention = progress.retention
        if self._retention is not None:
            figures.append(f"retention {self._retention:.2f}")
        # Since the line before: a resumed run has tokens of its former life in the sum.
        if (former := self._former) and progress.seconds > former.seconds:
            rate = (progress.tokens - former.tokens) / (progress.seconds - former.seconds)
            figures.append(f"{rate:,.0f} tokens/s")
        self._former = progress
        self._show(progress, "  ".join(figures))


class _Bar:
    """A report that moves one bar; the estimate begins anew with each stage."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("", total=1.0)
        self._done = 0.0

    def __call__(self, stage: str, done: float) -> None:
        if done < self._done:
            self._bars.reset(self._task, total=1.0)
        self._done = done
        self._bars.update(self._task, description=stage, completed=done)


class _Lines:
    """A report that prints a line for each stage, and now and then within a long one."""

    def __init__(self, out: Console) -> None:
        self._out = out
        self._stage = ""
        self._said = 0.0

    def __call__(self, stage: str, done: float) -> None:
        now = time.monotonic()
        if stage != self._stage or now - self._said > SILENCE:
            self._stage, self._said = stage, now
            self._out.print(f"{stage}: {done:.0%}", soft_wrap=True)


def _bars(out: Console, *columns: str, transient: bool) -> Bars:
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        *(TextColumn(column) for column in columns),
        TimeElapsedColumn(),
        TextColumn(say(zh="还需", en="left")),
        TimeRemainingColumn(),
        console=out,
        transient=transient,
        speed_estimate_period=120,
    )


def _steps(progress: Progress, before: int) -> str:
    each = progress.seconds / max(1, progress.step - before)
    left = each * (progress.steps - progress.step)
    minutes, seconds = divmod(round(left), 60)
    remaining = say(zh=f"还需 {minutes}:{seconds:02}", en=f"{minutes}:{seconds:02} left")
    return f"{progress.step}/{progress.steps}  {remaining}"

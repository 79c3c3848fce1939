"""``diff``: what an edit of the persona, or another training, did to each fact."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.errors import Fault, RensheError
from trainer.language import say

if TYPE_CHECKING:
    from rich.table import Table

    from trainer.diff import Count, Difference, FactChange
    from trainer.retention_file import Retention


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "diff",
        diff_command,
        about=say(
            zh="比两次训练的人设保持：哪些事实变好了，哪些变坏了，在聊到第几轮的时候。"
            "两边都要先 renshe eval RUN --retention。",
            en="Compare the retention of two runs: which facts got better, which got worse, and "
            "how deep in a conversation. Both need renshe eval RUN --retention first.",
        ),
        example="renshe diff run-before run-after",
    )


def diff_command(
    before: Annotated[
        Path,
        typer.Argument(metavar="RUN_A", help=say(zh="改之前的训练", en="The run before the edit.")),
    ],
    after: Annotated[
        Path,
        typer.Argument(metavar="RUN_B", help=say(zh="改之后的训练", en="The run after it.")),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help=say(zh="输出 JSON", en="Print JSON instead."))
    ] = False,
) -> None:
    """Compare, and print what changed."""
    from trainer.commands.screen import console
    from trainer.diff import difference

    found = difference(*_read_both(before, after))
    if as_json:
        console().print(found.model_dump_json(indent=1), markup=False, soft_wrap=True, emoji=False)
        return
    out = console()
    if found.cells:
        out.print(_table(found))
    for line in _lines(found):
        out.print(line, markup=False, soft_wrap=True)


def _read_both(before: Path, after: Path) -> list[Retention]:
    """Read both files.

    Raises:
        CheckpointError: with what is wrong with either.
    """
    from trainer.checkpoint import CARD_FILE
    from trainer.errors import CheckpointError
    from trainer.retention_file import FILE, read_retention

    found: list[Retention] = []
    faults: list[Fault] = []
    for run in (before, after):
        folder = run.parent if (run / CARD_FILE).is_file() else run
        try:
            found.append(read_retention(folder / "eval" / FILE))
        except RensheError as error:
            faults += error.faults
    if faults:
        raise CheckpointError(faults=tuple(faults))
    return found


def _table(found: Difference) -> Table:
    from rich import box
    from rich.table import Table

    from trainer.probes import history_name

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(say(zh="先聊", en="after"), no_wrap=True)
    for heading in (say(zh="轮数", en="rounds"), "Recall", "TrainPair", "Leak"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in found.cells:
        shares = (_change(*pair) for pair in (cell.recall, cell.train_pair, cell.leaks))
        table.add_row(history_name(cell.history), str(cell.depth), *shares)
    return table


def _change(before: float | None, after: float | None) -> str:
    """Return ``94% → 97% (+3)``; points of a percent."""
    if before is None or after is None:
        return f"{_percent(before)} → {_percent(after)}"
    return f"{_percent(before)} → {_percent(after)} ({(after - before) * 100:+.0f})"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _lines(found: Difference) -> Iterator[str]:
    from trainer.retention_file import subject_words

    if found.settings_changed:
        names = subject_words(found.settings_changed)
        yield say(
            zh=f"注意：两次的{names}不同，数字不能直接比。",
            en=f"Note: the two differ in {names}: their figures do not compare directly.",
        )
    yield (
        say(zh="人设改过。", en="The persona was changed.")
        if found.persona_changed
        else say(zh="人设没有改。", en="The persona is the same.")
    )
    alone = {
        say(zh="只在前一个里的事实", en="facts of the first alone"): found.only_before,
        say(zh="只在后一个里的事实", en="facts of the second alone"): found.only_after,
    }
    for name, facts in alone.items():
        if facts:
            yield f"{name}: {', '.join(facts)}"
    if not found.cells:
        yield say(zh="没有两边都测过的深度。", en="No depth was measured in both.")
        return
    for better, title in (
        (True, say(zh="变好的", en="better")),
        (False, say(zh="变坏的", en="worse")),
    ):
        changes = [change for change in found.facts if change.better is better]
        count = len({change.fact for change in changes})
        yield f"{title}: {count}"
        yield from _by_fact(changes, "↑" if better else "↓")


def _by_fact(changes: list[FactChange], sign: str) -> Iterator[str]:
    from trainer.probes import history_name

    places: dict[str, list[str]] = {}
    for change in changes:
        counts = f"{_shown(change.before)}→{_shown(change.after)}"
        place = f"{history_name(change.history)} k={change.depth} {counts}"
        places.setdefault(change.fact, []).append(place)
    for fact, where in places.items():
        yield f"  {sign} {fact}: {', '.join(where)}"


def _shown(count: Count) -> str:
    """Return ``2/3``, right of all, and how many leaked if any did."""
    text = f"{count.right}/{count.right + count.wrong + count.leaked}"
    leaks = say(zh="露馅", en="leaked")
    return f"{text} ({count.leaked} {leaks})" if count.leaked else text

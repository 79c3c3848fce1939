"""The ablation: what keeps 沐雪 herself, turn after turn, at equal tokens on ``tiny``.

Prints a table and writes ``docs/retention.png``. By default an arm sees as many tokens as a
default training of 沐雪 does. ``TOKENS`` and ``QUESTIONS`` in the
environment make it shorter or longer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import side_by_side
from benchmarks.retention_run import ARMS, PLACES

PICTURE = Path("docs/retention.png")
DEPTHS = [depth for history, depth in PLACES if history == "neutral"]


def main() -> None:
    """Run every arm, print the table as it grows, and draw the picture."""
    tokens, questions = os.environ.get("TOKENS", "45000"), os.environ.get("QUESTIONS", "32")
    rows: list[dict[str, Any]] = []
    console = Console()
    runs = [(name, tokens, questions) for name in ARMS]
    for figures in side_by_side("benchmarks.retention_run", runs):
        rows += figures["rows"]
        console.print(figures, soft_wrap=True)
    console.print(_table(rows, tokens))
    draw(rows, PICTURE)
    console.print(f"{PICTURE}")


def _table(rows: Sequence[dict[str, Any]], tokens: str) -> Table:
    depths = [f"@{depth}" for depth in DEPTHS]
    table = Table(
        "arm",
        *(f"TrainPair{depth}" for depth in depths),
        *(f"Recall{depth}" for depth in depths),
        "Leak@16",
        "Leak@16 after leaks",
        "forgetting",
        title=f"沐雪 on tiny, int8, {int(tokens):,} tokens each",
    )
    for row in rows:
        places = row["places"]
        table.add_row(
            row["arm"],
            *(f"{places[f'neutral {depth}']['train_pair']:.2f}" for depth in DEPTHS),
            *(f"{places[f'neutral {depth}']['recall']:.2f}" for depth in DEPTHS),
            f"{places['neutral 16']['leak']:.3f}",
            f"{places['leaked 16']['leak']:.3f}",
            f"{row['forgetting']:+.2f}" if row.get("forgetting") is not None else "-",
        )
    return table


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw TrainPair and Recall over depth, a line for each arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.4), layout="constrained", dpi=130)
    axes = figure.subplots(1, 2, sharey=True)
    titles = {"train_pair": "questions it was taught", "recall": "the same facts in new words"}
    for axis, (metric, title) in zip(axes, titles.items(), strict=True):
        for index, row in enumerate(rows):
            heights = [row["places"][f"neutral {depth}"][metric] for depth in DEPTHS]
            shape = {"marker": "osD^vPX*"[index], "linestyle": ["-", "--"][index % 2]}
            axis.plot(range(len(DEPTHS)), heights, label=row["arm"], linewidth=1.6, **shape)
        axis.set_xticks(range(len(DEPTHS)), [f"{depth}" for depth in DEPTHS])
        axis.set(title=title, xlabel="rounds of other talk before the question", ylim=(-0.03, 1.03))
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("share answered")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)

"""How many steps 沐雪 needs, with a prefix from her description and with a random one."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from benchmarks.measure import measured

ENOUGH = 0.1
"""Mean training loss per token at which nearly every training question gets its answer."""


def main() -> None:
    """Train with the default settings and with a random prefix at three learning rates."""
    rows = [("text", "default", measured("benchmarks.one_run", "{}", "--ask"))]
    for tried in (0.03, 0.1, 0.3):
        settings = {"prefix_init": "random", "learning_rate": tried}
        rows.append(
            ("random", f"{tried}", measured("benchmarks.one_run", json.dumps(settings), "--ask"))
        )
    table = Table(
        "prefix starts from",
        "learning rate",
        "steps",
        "seconds",
        f"steps to loss {ENOUGH}",
        "TrainPair@0",
        title="沐雪 on tiny, int8",
    )
    for start, rate, figures in rows:
        reached = [step for step, loss in figures["losses"] if loss <= ENOUGH]
        table.add_row(
            start,
            rate,
            f"{figures['steps']}",
            f"{figures['seconds']:.0f}",
            f"{reached[0]}" if reached else "not reached",
            f"{figures['train_pair']:.3f}",
        )
    Console().print(table)

"""How many steps 沐雪 needs, with a prefix from her description and with others.

Only the first run has the machine to itself, so only it tells its seconds.
"""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import matmul_speed, measured, side_by_side
from trainer.config import TrainConfig
from trainer.start import LENGTH

ENOUGH = 0.3
"""Mean training loss per token at which nearly every training question gets its answer."""


def main() -> None:
    """Train by default, with a shorter prefix, and with a random one at three learning rates."""
    alone = measured("benchmarks.one_run", "{}", "--ask")
    tried: list[dict[str, Any]] = [
        {"pre_seq_len": 128},
        *({"prefix_init": "random", "learning_rate": rate} for rate in (0.03, 0.1, 0.3)),
    ]
    runs = [(json.dumps(settings), "--ask") for settings in tried]
    rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({}, alone),
        *zip(tried, side_by_side("benchmarks.one_run", runs), strict=True),
    ]
    usual = TrainConfig()
    speed = matmul_speed()
    table = Table(
        "prefix starts from",
        "length",
        "learning rate",
        "steps",
        "seconds",
        f"steps to loss {ENOUGH}",
        "loss at the end",
        "TrainPair@0",
        title=f"沐雪 on tiny, int8; float32 matrix products at {speed:.0f} GFLOP/s",
    )
    for settings, figures in rows:
        reached = [step for step, loss in figures["losses"] if loss <= ENOUGH]
        table.add_row(
            settings.get("prefix_init", usual.prefix_init),
            f"{settings.get('pre_seq_len', LENGTH)}",
            f"{settings.get('learning_rate', usual.learning_rate)}",
            f"{figures['steps']}",
            "" if settings else f"{figures['seconds']:.0f}",
            f"{reached[0]}" if reached else "not reached",
            f"{figures['losses'][-1][1]:.2f}",
            f"{figures['train_pair']:.3f}",
        )
    Console().print(table)

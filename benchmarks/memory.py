"""Peak memory and quality of int8 and int4 against dense float32 weights, on ``tiny``."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from benchmarks.measure import measured


def main() -> None:
    """Train ten steps at each width and print memory, speed and the dev loss they reach."""
    table = Table(
        "weights", "peak MB", "of fp32", "examples/s", "dev loss", title="ten steps on tiny"
    )
    dense = 0.0
    for bits in (None, 8, 4):
        settings = {"max_steps": 10, "save_steps": 10, "quantization_bit": bits}
        figures = measured("benchmarks.one_run", json.dumps(settings))
        dense = dense or figures["peak_mb"]
        table.add_row(
            f"int{bits}" if bits else "fp32",
            f"{figures['peak_mb']}",
            f"{figures['peak_mb'] / dense:.2f}",
            f"{figures['examples_per_second']:.1f}",
            f"{figures['dev_loss']:.3f}",
        )
    Console().print(table)

"""Examples per second and memory against PEFT's PrefixTuning with transformers' Trainer."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from benchmarks.measure import measured

STEPS = 12


def main() -> None:
    """Run both on the same base, pairs and batch size, one after the other."""
    settings = {"max_steps": STEPS, "save_steps": STEPS, "per_device_train_batch_size": 8}
    table = Table(
        "who", "weights", "examples/s", "ratio", "peak MB", title=f"{STEPS} steps of 8 on tiny"
    )
    ours = [("Renshe", bits, {**settings, "quantization_bit": bits}) for bits in (8, None)]
    peft = measured("benchmarks.peft_run", str(STEPS))
    table.add_row(
        "PEFT + Trainer", "fp32", f"{peft['examples_per_second']:.2f}", "1.0", f"{peft['peak_mb']}"
    )
    for name, bits, chosen in ours:
        figures = measured("benchmarks.one_run", json.dumps(chosen))
        table.add_row(
            name,
            f"int{bits}" if bits else "fp32",
            f"{figures['examples_per_second']:.2f}",
            f"{figures['examples_per_second'] / peft['examples_per_second']:.1f}",
            f"{figures['peak_mb']}",
        )
    Console().print(table)

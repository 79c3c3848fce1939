"""Reckons what a training will take: run with ``-m``, with the settings on standard input.

In a process of its own, since the rehearsal changes PyTorch while it goes on, which a
conversation on the next tab would feel. It prints lines of JSON: ``stage`` and ``done``
while it works, at last ``figures`` or ``faults``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from trainer.errors import RensheError
from trainer.language import say

PRODUCTS = 8
"""Matrix products of 1,024 rows and columns that are timed: half a second at most."""


def main() -> None:
    """Read what is to be trained, reckon, and print."""
    if hasattr(os, "nice"):
        os.nice(5)  # whatever trains or talks goes first
    asked = json.load(sys.stdin)
    try:
        for figures in reckoned(asked):
            _print(figures=figures)
    except RensheError as error:
        _print(faults=[{"problem": fault.problem, "fix": fault.fix} for fault in error.faults])


def reckoned(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the figures of :class:`bot.studio.train.cost.Figures`: first without the memory.

    Args:
        asked: ``data`` (a compiled folder), ``base``, ``bits`` and ``settings``.

    Raises:
        RensheError: the base or the data cannot be used.
    """
    from trainer.bases import find_base
    from trainer.commands.training import chosen_settings

    settings = chosen_settings(None, None, asked["settings"], asked["bits"])
    source = find_base(asked["base"], _report)
    _report(say(zh="数步数", en="counting the steps"), 0.0)
    from trainer.model import load_chat, pick_device
    from trainer.plan import Device, measure, memory, read_base_config, stores_half
    from trainer.training_set import load_training_set

    data = load_training_set(Path(asked["data"]), seed=settings.seed)
    shape, work = measure(data, load_chat(source), settings)
    device: Device = "cpu" if pick_device(settings.device).type == "cpu" else "cuda"
    known = read_base_config(source)
    figures = {
        "steps": work.steps,
        "epochs": work.epochs,
        "tokens": work.tokens,
        "device": device,
        "weights": _weights(known),
        "flops": _flops() if device == "cpu" else None,
    }
    yield figures
    bits = settings.quantization_bit
    account = memory(known, bits, settings, device, stores_half(source.folder), shape)
    yield figures | {"memory": account.total, "free": _free(device)}


def _weights(config: Any) -> int:
    """Return the numbers in the linear layers of a base, the output layer aside."""
    import torch
    from transformers import AutoModelForCausalLM

    maker: Any = AutoModelForCausalLM
    with torch.device("meta"):
        network = maker.from_config(config)
    head = network.get_output_embeddings()
    layers = [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    return sum(layer.weight.numel() for layer in layers if layer is not head)


def _flops() -> float:
    """Return how many operations a second float32 matrix products do here, on all cores."""
    import torch

    square = torch.randn(1024, 1024)
    square @ square
    spans = []
    for _ in range(PRODUCTS):
        begun = time.perf_counter()
        square @ square
        spans.append(time.perf_counter() - begun)
    return 2 * 1024**3 / min(spans)  # the fastest: others are using this machine too


def _free(device: str) -> int | None:
    """Return the bytes that are free now, if this system tells."""
    if device == "cuda":
        import torch

        return int(torch.cuda.mem_get_info()[0])
    rooms = [room for room in (_available(), _left_to_container()) if room is not None]
    return min(rooms, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, ValueError, StopIteration):
        return None


def _left_to_container() -> int | None:
    """Return what the control group still allows; the page cache in it can be given back."""
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text("ascii"))  # ``max`` where there is no bound
        used = int((group / "memory.current").read_text("ascii"))
        told = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return most - used + int(told.get("inactive_file", 0))
    except (OSError, ValueError):
        return None


def _report(stage: str, done: float) -> None:
    _print(stage=stage, done=done)


def _print(**line: Any) -> None:
    sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

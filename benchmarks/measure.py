"""Runs one measurement as a process and reads back its figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def measured(module: str, *arguments: str, threads: int | None = None) -> dict[str, Any]:
    """Run ``python -m module arguments``, which prints a JSON object as its last line.

    Args:
        module: to run.
        arguments: of its command line.
        threads: how many it computes with; by default one for each core.
    """
    command = [sys.executable, "-m", module, *arguments]
    # As `renshe` itself does: threads that spin while they wait starve each other.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return figures


def side_by_side(module: str, runs: Sequence[Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Run ``python -m module`` with each of the arguments, one thread and a core for each.

    Two runs of one thread do more than one of two; their times are not to be reported.
    Yields the figures in the order of ``runs``, each as soon as it is there.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(lambda arguments: measured(module, *arguments, threads=1), runs)


def matmul_speed() -> float:
    """Return the GFLOP/s of a float32 matrix product of 1,024 rows and columns, on all cores.

    Most of a training step is such products, so this tells two machines apart.
    """
    import torch

    square = torch.randn(1024, 1024)
    square @ square
    begun = time.perf_counter()
    for _ in range(_PRODUCTS):
        square @ square
    return _PRODUCTS * 2 * 1024**3 / (time.perf_counter() - begun) / 1e9


_PRODUCTS = 32


def report(figures: dict[str, Any]) -> None:
    """Print figures for :func:`measured`, with this process's peak memory in MB."""
    print(json.dumps({**figures, "peak_mb": round(memory_mb("VmHWM"))}))


def memory_mb(name: str, process: int | str = "self") -> float:
    """Return what a process holds now (``VmRSS``) or held at most (``VmHWM``), in 2**20 bytes.

    Not ``ru_maxrss``: that one outlives ``exec``, so that a process that a large one starts
    is told the large one's peak.

    Args:
        name: a size in Linux's ``/proc/PID/status``.
        process: its number, or ``self``.
    """
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return float(dict(line.split(":", 1) for line in lines)[name].split()[0]) / 1024

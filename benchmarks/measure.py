"""Runs one measurement as a process and reads back its figures."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any


def measured(module: str, *arguments: str) -> dict[str, Any]:
    """Run ``python -m module arguments``, which prints a JSON object as its last line."""
    command = [sys.executable, "-m", module, *arguments]
    # As `renshe` itself does: threads that spin while they wait starve each other.
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return figures


def report(figures: dict[str, Any]) -> None:
    """Print figures for :func:`measured`, with this process's peak memory in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**figures, "peak_mb": round(peak)}))

"""How soon a command answers: whole processes, against an empty Python.

For ``renshe studio`` until its page is there.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

RUNS = 9


def main() -> None:
    """Print the median time of each command and its ratio to ``python -c pass``."""
    python = sys.executable
    renshe = str(Path(python).with_name("renshe"))
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "import trainer.persona": [python, "-c", "import trainer.persona"],
        "renshe --help": [renshe, "--help"],
        "renshe check 沐雪": [renshe, "check", "personas/muxue.yaml"],
        "renshe studio": [renshe, "studio", "--no-browser", "--port", "0"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(RUNS):  # in turn, so that drift hits all alike
        for name, command in commands.items():
            begun = time.perf_counter()
            _run_until_it_answers(command)
            seconds[name].append(time.perf_counter() - begun)
    table = Table("command", "median s", "ratio", title=f"startup, {RUNS} runs in turn")
    empty = statistics.median(seconds["python -c pass"])
    for name, times in seconds.items():
        median = statistics.median(times)
        table.add_row(name, f"{median:.3f}", f"{median / empty:.1f}")
    Console().print(table)


def _run_until_it_answers(command: list[str]) -> None:
    """Run a command to its end; one that serves a page until it tells where."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if "http://" in line:
                process.terminate()
                return
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)

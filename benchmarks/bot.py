"""Messages a second, and how long each takes, against NoneBot2 with adapter-onebot.

Both are processes of their own behind the same reverse WebSocket and say back the same
private messages. Renshe is ``renshe run`` as anybody runs it, with all of its plugins and
its store: a message is on disk before it is answered, its reply before it is sent.
"""

from __future__ import annotations

import asyncio
import json
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.measure import memory_mb
from benchmarks.onebot_load import Pace, connected, free_port

PERSONA = Path("personas/muxue.yaml").absolute()
ROUNDS = 3
SESSIONS = 50
LOADS = {1: 200, 8: 500, 50: 1000, 200: 2000}
"""Messages of each load, by how many of them are unanswered at a time."""
FEW, MANY = 1000, 10_000
"""Different sessions after which memory is read."""

CAPTION = (
    "Rate limits, debounce and typing delay are off; NoneBot2 stores nothing and logs warnings only"
)


@dataclass
class Side:
    """One of the two, and what was measured of it.

    Attributes:
        name: for the table.
        command: makes the command line of a folder and a port.
        paces: by messages in flight, one a round.
    """

    name: str
    command: Callable[[Path, int], Sequence[str]]
    paces: dict[int, list[Pace]] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
        """Run it in a fresh folder; yields the process and its port."""
        port = free_port()
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with (folder / "log.txt").open("wb") as log:
                command = self.command(folder, port)
                process = subprocess.Popen(command, stdout=log, stderr=log)
                try:
                    yield process, port
                finally:
                    process.send_signal(signal.SIGTERM)
                    process.wait(30)

    def middle(self, in_flight: int, name: str) -> float:
        """Return the median over the rounds."""
        return float(statistics.median(getattr(pace, name) for pace in self.paces[in_flight]))


def main() -> None:
    """Let both take the loads in turn, then many sessions each, and print two tables."""
    renshe, nonebot = Side("Renshe, stored on disk", _renshe), Side("NoneBot2", _nonebot)
    for _ in range(ROUNDS):  # in turn, so that drift hits both alike
        for side in (nonebot, renshe):
            asyncio.run(_load(side))
    console = Console()
    console.print(_speed(renshe, nonebot))
    console.print(_memory([nonebot, renshe]))


async def _load(side: Side) -> None:
    users = range(20_001, 20_001 + SESSIONS)
    with side.running() as (_, port):
        async with connected(port) as load:
            await load.run([*users] * 4, SESSIONS)  # what is loaded on first use is loaded now
            for in_flight, messages in LOADS.items():
                turns = [*users] * (messages // SESSIONS)
                side.paces.setdefault(in_flight, []).append(await load.run(turns, in_flight))


def _speed(ours: Side, theirs: Side) -> Table:
    table = Table(
        *("in flight", "who", "messages/s", "ratio", "p50 ms", "p99 ms"),
        title=f"echo over {SESSIONS} private chats, medians of {ROUNDS} runs in turn",
        caption=CAPTION,
    )
    for in_flight in LOADS:
        for side in (theirs, ours):
            rate, p50, p99 = (side.middle(in_flight, name) for name in ("rate", "p50", "p99"))
            ratio = f"{rate / theirs.middle(in_flight, 'rate'):.2f}"
            table.add_row(
                f"{in_flight}", side.name, f"{rate:.0f}", ratio, f"{p50:.1f}", f"{p99:.1f}"
            )
    return table


def _memory(sides: Sequence[Side]) -> Table:
    table = Table(
        *("who", f"MB after {FEW} sessions", f"after {MANY}", "peak"),
        title="memory of the process, sessions idle",
    )
    for side in sides:
        table.add_row(side.name, *(f"{mb:.0f}" for mb in asyncio.run(_sessions(side))))
    return table


async def _sessions(side: Side) -> tuple[float, float, float]:
    """Let many people say one thing each; returns the memory in between, after and at most."""
    with side.running() as (process, port):
        async with connected(port) as load:
            await load.run(range(30_000, 30_000 + FEW), SESSIONS)
            few = memory_mb("VmRSS", process.pid)
            await load.run(range(30_000 + FEW, 30_000 + MANY), SESSIONS)
            return few, memory_mb("VmRSS", process.pid), memory_mb("VmHWM", process.pid)


def _renshe(folder: Path, port: int) -> Sequence[str]:
    settings = {
        "store": "renshe.db",
        "personas": {"muxue": {"echo": {"persona": str(PERSONA)}}},
        "adapters": {"onebot_v11": [{"transport": "reverse_websocket", "port": port}]},
        "limits": {"per_user": 10**9, "overall": 10**9, "window": 1},
        "sessions": {"debounce": 0},
        "delivery": {"typing_speed": 0},
    }
    file = folder / "renshe.yaml"
    file.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    return [str(Path(sys.executable).with_name("renshe")), "run", str(file)]


def _nonebot(_folder: Path, port: int) -> Sequence[str]:
    return [sys.executable, "-m", "benchmarks.nonebot_run", str(port)]

"""What a training will take, told before it is started: steps, time and memory.

The memory and the number of tokens are rehearsed (:mod:`trainer.plan`) by a process of its
own. The speed is that of a former run on the same base in this project; where there is none
it is reckoned from how fast this machine multiplies matrices, and said to be an estimate.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from bot.studio.own_process import command, environment
from bot.studio.train.order import Prepared
from bot.studio.train.run_log import read_log
from bot.studio.workshop import Workshop
from trainer.checkpoint import open_checkpoint
from trainer.errors import CheckpointError, Fault, RensheError
from trainer.language import say

SHARE_OF_PEAK = 0.6
"""Of what plain matrix products reach, a step with its checks reaches about so much; from the
default training of 沐雪 on ``tiny``, 168 steps in 537 s at 60 GFLOP/s."""

FORMER = 12
"""Former runs that are looked at for a speed."""

KEPT = 16
"""Figures that are remembered."""


@dataclass(frozen=True)
class Figures:
    """What a rehearsal found.

    Attributes:
        steps: updates.
        epochs: how often each example is seen.
        tokens: in all of them.
        device: ``cpu`` or ``cuda``.
        weights: numbers in the linear layers, each used twice forward and twice backward.
        flops: operations a second that this machine does, if that was measured.
        memory: bytes at the peak; none while that is being rehearsed.
        free: bytes that are free now, if the system tells.
    """

    steps: int
    epochs: float
    tokens: int
    device: str
    weights: int
    flops: float | None
    memory: int | None = None
    free: int | None = None


@dataclass(frozen=True)
class Cost:
    """What is told.

    Attributes:
        figures: of the rehearsal.
        seconds: how long it takes, if that can be told.
        known_from: the run whose speed that is; empty for an estimate.
    """

    figures: Figures
    seconds: float | None
    known_from: str = ""

    @property
    def fits(self) -> bool:
        """Whether it fits the memory that is free now; so it does if that is not known."""
        needed, free = self.figures.memory, self.figures.free
        return needed is None or free is None or needed <= free


class Reckoner:
    """Reckons costs and remembers the last ones.

    Args:
        workshop: whose former runs tell the speed.
    """

    def __init__(self, workshop: Workshop) -> None:
        self._workshop = workshop
        self._guard = threading.Lock()
        self._known: OrderedDict[tuple[str, ...], Figures] = OrderedDict()

    def cost(self, prepared: Prepared) -> Iterator[str | Cost]:
        """Yield what is being done, then the cost, first without the memory.

        Raises:
            RensheError: the base or the data cannot be used.
        """
        with self._guard:
            known = self._known.get(prepared.arguments)
        for told in [known] if known else self._rehearsed(prepared):
            yield told if isinstance(told, str) else self._timed(prepared, told)

    def _rehearsed(self, prepared: Prepared) -> Iterator[str | Figures]:
        """Run the process to its end; one that nobody waits for any more is ended."""
        figures: Figures | None = None
        with self._process(prepared) as process:
            try:
                for told in _lines(process):
                    if "stage" in told:
                        yield told["stage"] + (f" {told['done']:.0%}" if told["done"] else "")
                    elif "faults" in told:
                        raise RensheError(faults=tuple(Fault(**fault) for fault in told["faults"]))
                    elif "figures" in told:
                        yield (figures := Figures(**told["figures"]))
            finally:
                process.kill()
        if figures is None or figures.memory is None:
            raise _unknown()
        self._keep(prepared, figures)

    def _keep(self, prepared: Prepared, figures: Figures) -> None:
        with self._guard:
            self._known[prepared.arguments] = figures
            while len(self._known) > KEPT:
                self._known.popitem(last=False)

    def _process(self, prepared: Prepared) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command("bot.studio.train.cost_process"),
            cwd=self._workshop.root,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
        )
        with suppress(OSError):  # of one that is gone already nothing is heard, which is told
            assert process.stdin is not None
            json.dump(vars(prepared), process.stdin)
            process.stdin.close()
        return process

    def _timed(self, prepared: Prepared, figures: Figures) -> Cost:
        run, speed = self._former_speed(prepared)
        if speed is None and figures.flops:
            speed = SHARE_OF_PEAK * figures.flops / (4 * figures.weights)
        return Cost(figures, figures.tokens / speed if speed else None, run)

    def _former_speed(self, prepared: Prepared) -> tuple[str, float | None]:
        """Return the youngest run on the same base and bits, and its tokens a second."""
        for run in self._workshop.runs()[:FORMER]:
            folder = self._workshop.run_folder(run)
            speed = read_log(folder).average
            if speed is None:
                continue
            with suppress(CheckpointError):
                card = open_checkpoint(folder, "last").card
                if (card.base, str(card.bits or "none")) == (prepared.base, prepared.bits):
                    return run, speed
        return "", None


def _lines(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        with suppress(ValueError):  # a library that prints is none of ours
            told = json.loads(line)
            if isinstance(told, dict):
                yield told


def _unknown() -> RensheError:
    return RensheError(
        say(zh="没能估算出来", en="what it takes could not be reckoned"),
        fix=say(
            zh="可以照样开始；多半是内存不够了，关掉别的程序再试",
            en="you may start all the same; memory may be short: close other programs",
        ),
        code="no-cost",
    )

"""What an evaluation costs and how far it is, before and while ``renshe eval`` runs.

Whoever presses a button that takes minutes should know how many. What this machine did for
the run before tells most: an earlier measurement, or else how fast it was trained.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bot.studio.evaluate.results import Results
from bot.studio.jobs import Job
from trainer.dataset import Dataset
from trainer.extent import HISTORY_TOKENS, Extent
from trainer.language import say
from trainer.retention_file import Retention

What = Literal["retention", "plain"]

Thoroughness = Literal["quick", "usual", "full"]

EXTENTS: dict[Thoroughness, Extent] = {
    "quick": Extent(depths=(0, 2, 8), other_depths=(2, 8), limit=8),
    "usual": Extent(),
    "full": Extent(limit=0),
}

PROBE, PER_TOKEN = 106.0, 0.075
"""What a question costs, and what each token of talk before it adds, in tokens of training;
measured with ``tiny`` on two cores."""

ROUND = 31
"""Tokens that a round of the test talk has."""

SCRAP = 213.0
"""What forgetting costs for each scrap of talk, of which there are at most so many; likewise."""
SCRAPS = 64

LOADING = 20.0
"""Seconds until the base is loaded."""

_STAGE = re.compile(r"^(.+): (\d{1,3})%\s*$")


def arguments(run: str, what: What, how: Thoroughness, *, fresh: bool) -> list[str]:
    """Return what follows ``renshe``, to be run in the project folder."""
    extent = EXTENTS[how]
    words = ["eval", f"runs/{run}"]
    if what == "retention":
        words.append("--retention")
        if extent.depths != Extent.depths:
            words += ["--depths", ",".join(map(str, extent.depths))]
        if fresh:
            words.append("--fresh")
    return words if extent.limit == Extent.limit else [*words, "--limit", str(extent.limit)]


def what_of(job: Job) -> What:
    """Tell which of the two evaluations a job is."""
    return "retention" if "--retention" in job.arguments else "plain"


def must_begin_anew(found: Results, how: Thoroughness) -> bool:
    """Tell whether what was measured cannot be gone on with, so that it will be replaced."""
    if any(fault.code == "retention-damaged" for fault in found.faults):
        return True
    former = found.retention
    if former is None:
        return False
    return former.subject.limit != EXTENTS[how].limit or found.retention_is_old


def thoroughness_of(retention: Retention) -> Thoroughness | None:
    """Return the choice with which this can be gone on; none if it was made otherwise."""
    limits = {extent.limit: name for name, extent in EXTENTS.items()}
    return limits.get(retention.subject.limit)


@dataclass(frozen=True)
class Share:
    """How much of a measurement there is.

    Attributes:
        done: places, each a history at a depth.
        wanted: places in all.
    """

    done: int
    wanted: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing."""
        return self.done >= self.wanted


def measured_share(found: Results, how: Thoroughness) -> Share:
    """Return how many of the places that ``how`` wants are measured; forgetting is one."""
    wanted = len(_left(None, how))
    retention = None if must_begin_anew(found, how) else found.retention
    return Share(wanted - len(_left(retention, how)), wanted)


def seconds(found: Results, dataset: Dataset, folder: Path, what: What, how: Thoroughness) -> float:
    """Estimate how long an evaluation takes from here; 0 if nothing can be told.

    Args:
        found: what was measured before.
        dataset: what the run was trained on.
        folder: the run's.
        what: which evaluation.
        how: how thorough.
    """
    each = _seconds_per_token(found.retention, folder)
    if not each:
        return 0.0
    taught, held = _questions(dataset, EXTENTS[how].limit)
    if what == "plain":
        replies = 3 * held + 3 * (taught + held)
        return LOADING + each * replies * PROBE
    retention = None if must_begin_anew(found, how) else found.retention
    left = _left(retention, how)
    work = sum((taught + held) * _cost(rounds * ROUND) for place, rounds in left if place)
    if ("", 0) in left:
        work += SCRAP * min(EXTENTS[how].limit or SCRAPS, SCRAPS)
    return LOADING + each * work if left else 0.0


def worded_minutes(duration: float) -> str:
    """Return a duration for people, no finer than it is known."""
    minutes = duration / 60
    if minutes < 1:
        return say(zh="不到 1 分钟", en="less than a minute")
    if minutes < 90:
        count = round(minutes) if minutes < 10 else round(minutes / 5) * 5
        return say(zh=f"约 {count} 分钟", en=f"about {count} min")
    return say(zh=f"约 {minutes / 60:.1f} 小时", en=f"about {minutes / 60:.1f} h")


def progress(output: str) -> tuple[str, float] | None:
    """Return the last stage that a job told and how much is done (0 to 1); none before that."""
    for line in reversed(output.splitlines()):
        if (told := _STAGE.match(line)) and int(told[2]) <= 100:
            return told[1], int(told[2]) / 100
    return None


class Watch:
    """Tells how long jobs will take, from how far they have come since it first saw them."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[float, float, float]] = {}

    def left(self, job: str, done: float, now: float) -> float | None:
        """Return the seconds left; none before enough has been seen.

        Args:
            job: its id.
            done: how much of it is done, 0 to 1.
            now: seconds on any clock.
        """
        began, first, before = self._seen.get(job, (now, done, done))
        if done < before:  # another stage: loading had a bar of its own
            began, first = now, done
        self._seen[job] = (began, first, done)
        if done - first < 0.03 or now - began < 5:
            return None
        return (now - began) / (done - first) * (1 - done)


def _left(retention: Retention | None, how: Thoroughness) -> list[tuple[str, int]]:
    """Return the histories and depths that are not measured; forgetting is ``("", 0)``."""
    rounds = HISTORY_TOKENS // ROUND
    wanted: list[tuple[str, int]] = [*EXTENTS[how].places(), ("long", rounds), ("", 0)]
    if retention is None:
        return wanted
    done: set[tuple[str, int]] = {(cell.history, cell.depth) for cell in retention.cells}
    done |= {(place.history, place.depth) for place in retention.skipped}
    if any(history == "long" for history, _ in done):
        done.add(("long", rounds))
    finished = {("", 0)} if retention.forgetting else set()
    return [place for place in wanted if place not in done | finished]


def _cost(tokens: int) -> float:
    """Return what a question after so much talk costs, in tokens of training."""
    return PROBE + PER_TOKEN * tokens


def _seconds_per_token(retention: Retention | None, folder: Path) -> float:
    if retention and retention.cells:
        work = sum(len(cell.replies) * _cost(cell.tokens) for cell in retention.cells)
        return sum(cell.seconds for cell in retention.cells) / work if work else 0.0
    try:
        last = json.loads((folder / "log.jsonl").read_text("utf-8").splitlines()[-1])
        return float(last["seconds"]) / float(last["tokens"])
    except (OSError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError):
        return 0.0  # a run of elsewhere: nobody knows, and that is no fault


def _questions(dataset: Dataset, limit: int) -> Sequence[int]:
    """Return how many taught and how many held-out wordings are asked."""
    held = sum(map(len, dataset.manifest.dev_wordings.values()))
    taught = sum(1 for _ in dataset.manifest.persona.pairs()) - held
    return [min(count, limit) if limit else count for count in (taught, held)]

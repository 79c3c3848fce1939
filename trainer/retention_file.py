"""``retention.json``: every reply of a retention run, and the figures made of them.

A run takes minutes and may be cut off, so each cell, a history at a depth, is on disk as
soon as it is done. The file says which checkpoint, data and settings it is of; figures of
another are never mixed in. The report and ``renshe diff`` are made from it alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.bootstrap import Figure, area, mean
from trainer.errors import CheckpointError, TrainingError
from trainer.language import say
from trainer.probes import History

FILE = "retention.json"

Verdict = Literal["right", "wrong", "leaked"]


class _Model(BaseModel):
    # A checkpoint that diverged has NaN for likelihoods, and that is to be seen too.
    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, ser_json_inf_nan="constants"
    )


class Subject(_Model):
    """What was measured, and how: figures of different subjects are never mixed."""

    prefix_sha256: str
    """Of the checkpoint's prefix."""
    persona_digest: str
    """Of the persona's content."""
    dataset_sha256: str
    """Of what it was trained on."""
    talk_sha256: str
    """Of the test bank."""
    limit: int
    """Most probes of a kind; 0 is all."""
    max_new_tokens: int
    """A reply is cut there."""
    guarded: bool
    """The replies are those of the serve-time guard, not of the bare model."""


def subject_words(names: Iterable[str]) -> str:
    """Name fields of a subject for people."""
    words = {
        "prefix_sha256": say(zh="检查点", en="the checkpoint"),
        "persona_digest": say(zh="人设", en="the persona"),
        "dataset_sha256": say(zh="数据", en="the data"),
        "talk_sha256": say(zh="测试用的闲聊", en="the test talk"),
        "limit": "--limit",
        "max_new_tokens": say(zh="回复长度", en="the length of replies"),
        "guarded": say(zh="守护", en="the guard"),
    }
    return ", ".join(words[name] for name in names)


class Reply(_Model):
    """What was said to one probe."""

    fact: str
    """The fact's id."""
    question: str
    """The wording."""
    written: str
    """The author's answer."""
    taught: bool
    """The wording was trained on; otherwise it was kept for dev."""
    reply: str
    """What the model said."""
    right: bool
    """It matches ``expect``; of a taught wording: it is near a written answer."""
    leaked: bool | None
    """It matches the persona's ``leaks``; none if the persona has none."""
    contradicts: bool | None
    """It matches the fact's ``reject``; none if the fact has none."""
    nll: float | None
    """Negative log-likelihood of the written answer, nats per token; held-out wordings only."""
    delta_nll: float | None
    """The same, minus that without a history."""
    margin: float | None
    """That of a leaked answer minus that of the written one; identity facts only."""

    @property
    def verdict(self) -> Verdict:
        """Whether it leaked; if not, whether it was right."""
        return "leaked" if self.leaked else "right" if self.right else "wrong"


class Cell(_Model):
    """All the replies after one history at one depth, and their means."""

    history: History
    """What stood before the questions."""
    depth: int
    """Rounds before the question."""
    tokens: int
    """Tokens of the history; of the two dialogues' the fewer."""
    seconds: float
    """Wall time."""
    peak_memory: int | None
    """Most bytes the process held until then, on the card or else in all; none if unknown."""
    replies: tuple[Reply, ...]
    """In the persona's order."""
    recall: Figure | None
    """Share of held-out wordings whose reply is right."""
    train_pair: Figure | None
    """Share of taught wordings whose reply is near a written answer."""
    leaks: Figure | None
    """Share of all replies that betray the base."""
    contradictions: Figure | None
    """Share of replies that contradict their fact."""
    nll: Figure | None
    """Mean of the replies' ``nll``."""
    delta_nll: Figure | None
    """Mean of the replies' ``delta_nll``."""
    margin: Figure | None
    """Mean of the replies' ``margin``."""


class Skipped(_Model):
    """A cell that cannot be measured, and why."""

    history: History
    depth: int
    reason: Literal["context", "rounds", "tokens"]
    """The base's context is too small; or not so much talk was written."""
    needs: int
    """Tokens or rounds that it takes."""
    has: int
    """Tokens or rounds that there are."""


class Forgetting(_Model):
    """What the prefix costs where the persona is not asked for."""

    figure: Figure | None
    """NLL per token of general talk with the prefix, minus that without."""
    seconds: float
    """Wall time."""


class Retention(_Model):
    """How a checkpoint holds its persona."""

    format: Literal[1] = 1
    """Version of this layout."""
    persona: str
    """Its name."""
    language: Literal["zh", "en"]
    """The language it speaks."""
    base: str
    """Name or path of the base."""
    bits: int | None
    """Bits of its weights."""
    step: int
    """Updates done."""
    trained_depth: int
    """Most rounds in a training conversation."""
    subject: Subject
    """What was measured, and how."""
    facts: tuple[str, ...]
    """Ids of the facts, in the persona's order."""
    left_out: int
    """Texts of the test bank that the persona's file also holds, and that were not used."""
    cells: tuple[Cell, ...] = ()
    """What has been measured so far."""
    skipped: tuple[Skipped, ...] = ()
    """What cannot be."""
    forgetting: Forgetting | None = None
    """Measured last."""
    areas: dict[History, Figure] = {}
    """Area under Recall over depth, see :func:`trainer.bootstrap.area`."""

    def cell(self, history: History, depth: int) -> Cell | None:
        """Return a cell, if it has been measured; without rounds all histories are one."""
        wanted = (history, depth) if depth else ("neutral", 0)
        found = (cell for cell in self.cells if (cell.history, cell.depth) == wanted)
        return next(found, None)

    def curve(self, history: History) -> list[Cell]:
        """Return the cells of a history by depth, the one without rounds first."""
        cells = [c for c in self.cells if c.history == history or not c.depth]
        return sorted(cells, key=lambda cell: cell.depth)

    def with_cell(self, cell: Cell) -> Retention:
        """Return all this and one more cell."""
        order: list[History] = ["neutral", "long", "in_persona", "leaked"]
        cells = sorted([*self.cells, cell], key=lambda one: (order.index(one.history), one.depth))
        grown = self.model_copy(update={"cells": tuple(cells)})
        histories: tuple[History, ...] = ("neutral", "in_persona", "leaked")
        areas = {history: _area(grown.curve(history)) for history in histories}
        return grown.model_copy(update={"areas": {h: a for h, a in areas.items() if a}})


def make_cell(
    history: History,
    depth: int,
    *,
    tokens: int,
    seconds: float,
    peak_memory: int | None,
    replies: Sequence[Reply],
) -> Cell:
    """Return the cell of these replies."""
    dev = [reply for reply in replies if not reply.taught]
    taught = [reply for reply in replies if reply.taught]
    return Cell(
        history=history,
        depth=depth,
        tokens=tokens,
        seconds=seconds,
        peak_memory=peak_memory,
        replies=tuple(replies),
        recall=_mean(dev, lambda reply: reply.right),
        train_pair=_mean(taught, lambda reply: reply.right),
        leaks=_mean(replies, lambda reply: reply.leaked),
        contradictions=_mean(replies, lambda reply: reply.contradicts),
        nll=_mean(replies, lambda reply: reply.nll),
        delta_nll=_mean(replies, lambda reply: reply.delta_nll),
        margin=_mean(replies, lambda reply: reply.margin),
    )


def write_retention(retention: Retention, path: Path) -> None:
    """Write the file whole or not at all.

    Raises:
        TrainingError: the disk is full or cannot be written.
    """
    making = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with making.open("wb") as file:
            file.write(retention.model_dump_json(indent=1).encode())
            file.flush()
            os.fsync(file.fileno())
        making.replace(path)
    except OSError as error:
        raise TrainingError(
            say(zh=f"写不进去：{error.strerror}", en=f"cannot be written: {error.strerror}"),
            path=path,
            fix=say(
                zh="检查权限和磁盘空间，再跑一次：测过的都还在，会接着测",
                en="check permissions and disk space, and run it again: what was measured "
                "before is whole, and it goes on from there",
            ),
            code="disk",
        ) from error
    finally:
        with suppress(OSError):
            making.unlink(missing_ok=True)


def read_retention(path: Path) -> Retention:
    """Read what :func:`write_retention` wrote.

    Raises:
        CheckpointError: it is not there, or damaged; says which command makes it.
    """
    fix = f"renshe eval {path.parent.parent} --retention"
    try:
        return Retention.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        problem = say(zh="还没有测过人设保持", en="retention has not been measured yet")
        raise CheckpointError(problem, path=path, fix=fix, code="no-retention") from None
    except (OSError, ValidationError) as error:
        reason = why_unreadable(error)
        problem = say(zh=f"读不了：{reason}", en=f"cannot be read: {reason}")
        fix += " --fresh"
        raise CheckpointError(problem, path=path, fix=fix, code="retention-damaged") from error


def why_unreadable(error: OSError | ValidationError) -> str:
    """Return what is wrong first with a file of results, and where in it."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"]))
    return f"{place}: {first['msg']}" if place else first["msg"]


def _mean(replies: Iterable[Reply], value: Callable[[Reply], float | bool | None]) -> Figure | None:
    found = [(float(v), reply.fact) for reply in replies if (v := value(reply)) is not None]
    return mean([number for number, _ in found], [fact for _, fact in found])


def _area(cells: Sequence[Cell]) -> Figure | None:
    dev = [[reply for reply in cell.replies if not reply.taught] for cell in cells]
    return area(
        [cell.depth for cell in cells],
        [[float(reply.right) for reply in part] for part in dev],
        [[reply.fact for reply in part] for part in dev],
    )

"""What an edit of a persona did: two retention runs, fact by fact and depth by depth.

A mean hides that one fact was mended and another broken. So each fact is compared at each
depth that both runs measured, over the wordings that both asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydantic import BaseModel, ConfigDict

from trainer.probes import History
from trainer.retention_file import Cell, Reply, Retention, Verdict

_WORTH: dict[Verdict, int] = {"leaked": -1, "wrong": 0, "right": 1}
"""To leak is worse than to be wrong."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="constants"
    )


class Count(_Model):
    """The verdicts on one fact's replies."""

    right: int
    wrong: int
    leaked: int


class FactChange(_Model):
    """A fact that is answered better or worse after one history at one depth."""

    fact: str
    """The fact's id."""
    history: History
    """What stood before the questions."""
    depth: int
    """Rounds before the questions."""
    better: bool
    """It got better; otherwise worse."""
    before: Count
    """The first run's verdicts."""
    after: Count
    """The second's."""


class CellChange(_Model):
    """The shares of both runs after one history at one depth, and their difference."""

    history: History
    depth: int
    recall: tuple[float | None, float | None]
    train_pair: tuple[float | None, float | None]
    leaks: tuple[float | None, float | None]


class Difference(_Model):
    """What the second run does that the first does not."""

    persona_changed: bool
    """The personas' contents differ."""
    settings_changed: tuple[str, ...]
    """What else was measured in another way: the figures compare with a grain of salt."""
    only_before: tuple[str, ...]
    """Facts of the first persona alone."""
    only_after: tuple[str, ...]
    """Facts of the second alone."""
    cells: tuple[CellChange, ...]
    """Where both measured."""
    facts: tuple[FactChange, ...]
    """Facts that changed, in the second persona's order."""


def difference(before: Retention, after: Retention) -> Difference:
    """Compare two runs."""
    both = [(cell, other) for other in after.cells if (cell := _same(before, other)) is not None]
    changed = [
        name
        for name in ("talk_sha256", "limit", "max_new_tokens", "guarded")
        if getattr(before.subject, name) != getattr(after.subject, name)
    ]
    return Difference(
        persona_changed=before.subject.persona_digest != after.subject.persona_digest,
        settings_changed=tuple(changed),
        only_before=tuple(fact for fact in before.facts if fact not in after.facts),
        only_after=tuple(fact for fact in after.facts if fact not in before.facts),
        cells=tuple(_cell_change(cell, other) for cell, other in both),
        facts=tuple(_fact_changes(after.facts, both)),
    )


def _same(before: Retention, cell: Cell) -> Cell | None:
    """Return the cell of the first run that was measured as ``cell`` was."""
    for other in before.cells:
        if other.history == cell.history and (other.depth == cell.depth or cell.history == "long"):
            return other
    return None


def _cell_change(before: Cell, after: Cell) -> CellChange:
    def pair(name: str) -> tuple[float | None, float | None]:
        one, other = getattr(before, name), getattr(after, name)
        return (one.value if one else None, other.value if other else None)

    return CellChange(
        history=after.history,
        depth=after.depth,
        recall=pair("recall"),
        train_pair=pair("train_pair"),
        leaks=pair("leaks"),
    )


def _fact_changes(facts: Sequence[str], cells: Sequence[tuple[Cell, Cell]]) -> Iterator[FactChange]:
    for fact in facts:
        for before, after in cells:
            one, other = _shared(before, after, fact)
            if not one or not other:
                continue
            change = _worth(other) - _worth(one)
            if abs(change) > 1e-9:
                yield FactChange(
                    fact=fact,
                    history=after.history,
                    depth=after.depth,
                    better=change > 0,
                    before=_count(one),
                    after=_count(other),
                )


def _shared(before: Cell, after: Cell, fact: str) -> tuple[list[Reply], list[Reply]]:
    """Return both runs' replies to the wordings that both asked; to all, if they share none."""
    one = [reply for reply in before.replies if reply.fact == fact]
    other = [reply for reply in after.replies if reply.fact == fact]
    asked = {reply.question for reply in one} & {reply.question for reply in other}
    if not asked:
        return one, other
    return (
        [reply for reply in one if reply.question in asked],
        [reply for reply in other if reply.question in asked],
    )


def _worth(replies: Sequence[Reply]) -> float:
    return sum(_WORTH[reply.verdict] for reply in replies) / len(replies)


def _count(replies: Sequence[Reply]) -> Count:
    verdicts = [reply.verdict for reply in replies]
    return Count(
        right=verdicts.count("right"),
        wrong=verdicts.count("wrong"),
        leaked=verdicts.count("leaked"),
    )

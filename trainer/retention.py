"""Measures whether a persona stays itself: the same questions, ever deeper in a conversation.

After k rounds of other talk the model is asked about its facts, in wordings that it was
taught and in wordings that it never saw, greedily and without a judge model. What stands
before the questions was never trained on; that is checked, not believed. Li et al.
(arXiv 2402.10962) found personas to drift within eight rounds, with probes forked off one
dialogue as here (:mod:`trainer.probes`).

By default the bare model answers and is shown the whole history, whatever the window is
when serving: that a short window hides a drift is no retention.

The way of a run: :mod:`trainer.talk_check` -> :mod:`trainer.probes` ->
:mod:`trainer.retention_cell` for each history and depth -> :mod:`trainer.retention_file`,
from which :mod:`trainer.report` and :mod:`trainer.diff` are made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.dataset import Dataset
from trainer.errors import CheckpointError, DatasetError
from trainer.extent import Extent
from trainer.forgetting import measure_forgetting
from trainer.language import say
from trainer.model import Tuned
from trainer.probes import Dialogues, History, choose_probes, history_name
from trainer.retention_cell import MAX_NEW_TOKENS, Answer, Asker
from trainer.retention_file import (
    Retention,
    Skipped,
    Subject,
    read_retention,
    subject_words,
    write_retention,
)
from trainer.talk_check import talk_digest, unfit_talk

_QUESTIONS = 300
"""What asking everything costs, in tokens of a history."""

Report = Callable[[str, float], None]


def measure(
    tuned: Tuned,
    dataset: Dataset,
    path: Path,
    extent: Extent | None = None,
    *,
    answer: Answer | None = None,
    fresh: bool = False,
    report: Report = lambda _stage, _done: None,
) -> Retention:
    """Measure what is not in ``path`` yet, writing it there cell by cell.

    Args:
        tuned: the checkpoint.
        dataset: what it was trained on.
        path: ``retention.json``; if it holds other cells of the same subject they stay.
        extent: what is measured.
        answer: answers in place of the bare model, as the serve-time guard does.
            Likelihoods are the bare model's all the same.
        fresh: begin anew, whatever is there.
        report: told of the progress.

    Raises:
        DatasetError: no wording was kept for dev; a test text was trained on; or the
            questions do not fit the context even by themselves.
        CheckpointError: ``path`` is damaged, or of another checkpoint or other settings.
        TrainingError: ``path`` cannot be written.
    """
    extent = extent or Extent()
    persona, held = tuned.card.persona, dataset.manifest.dev_wordings
    probes = choose_probes(persona, held, extent.limit)
    if all(probe.taught for probe in probes):
        raise _no_dev()
    unfit = unfit_talk(persona, dataset.train, held)
    asker = Asker(tuned, probes, Dialogues(persona, held, unfit), answer)
    subject = _subject(tuned, dataset, extent.limit, guarded=answer is not None)
    retention = None if fresh else _former(path, subject)
    retention = retention or _begun(tuned, subject, len(unfit))
    places = list(_places(asker, extent))
    skipped = tuple(place for place in places if isinstance(place, Skipped))
    retention = retention.model_copy(update={"skipped": skipped})
    todo = [
        place
        for place in places
        if isinstance(place, _Place) and not retention.cell(place.history, place.depth)
    ]
    done, work = 0.0, sum(place.work for place in todo)
    for place in todo:
        told = _share(report, place, done, work)
        cell = asker.ask(place.history, place.depth, retention.cell("neutral", 0), told)
        retention = retention.with_cell(cell)
        write_retention(retention, path)
        done += place.work
    if retention.forgetting is None:
        report(say(zh="遗忘", en="forgetting"), 1.0)
        forgetting = measure_forgetting(tuned, extent.limit)
        retention = retention.model_copy(update={"forgetting": forgetting})
    write_retention(retention, path)
    return retention


@dataclass(frozen=True)
class _Place:
    """A history at a depth, and its tokens."""

    history: History
    depth: int
    tokens: int

    @property
    def work(self) -> float:
        """What it costs, in tokens."""
        return float(_QUESTIONS + self.tokens)


def _places(asker: Asker, extent: Extent) -> Iterator[_Place | Skipped]:
    """Yield the cells to measure, first the one without rounds, and those that cannot be.

    Raises:
        DatasetError: not even the questions by themselves fit the context.
    """
    if alone := asker.fault("neutral", 0):
        raise _no_room(alone)
    for history, depth in extent.places():
        yield asker.fault(history, depth) or _Place(history, depth, asker.tokens(history, depth))
    if extent.history_tokens:
        yield _long(asker, extent.history_tokens)


def _long(asker: Asker, tokens: int) -> _Place | Skipped:
    depth = asker.rounds_of(tokens)
    has = asker.tokens("long", depth)
    if has < tokens:
        return Skipped(history="long", depth=depth, reason="tokens", needs=tokens, has=has)
    return asker.fault("long", depth) or _Place("long", depth, has)


def _share(report: Report, place: _Place, done: float, work: float) -> Callable[[float], None]:
    """Map the progress of one cell to its share of the whole."""
    stage = f"{history_name(place.history)} k={place.depth}"
    return lambda part: report(stage, (done + place.work * part) / work)


# --- what was measured before --------------------------------------------------------------


def _subject(tuned: Tuned, dataset: Dataset, limit: int, *, guarded: bool) -> Subject:
    return Subject(
        prefix_sha256=tuned.card.prefix_sha256,
        persona_digest=tuned.card.persona.digest(),
        dataset_sha256=dataset.digest(),
        talk_sha256=talk_digest(tuned.card.persona.language),
        limit=limit,
        max_new_tokens=MAX_NEW_TOKENS,
        guarded=guarded,
    )


def _begun(tuned: Tuned, subject: Subject, left_out: int) -> Retention:
    card = tuned.card
    return Retention(
        persona=card.persona.name,
        language=card.persona.language,
        base=card.base,
        bits=card.bits,
        step=card.step,
        trained_depth=card.depth,
        subject=subject,
        facts=tuple(fact.id for fact in card.persona.facts),
        left_out=left_out,
    )


def _former(path: Path, subject: Subject) -> Retention | None:
    """Return what was measured before; none if nothing was.

    Raises:
        CheckpointError: it is of another subject.
    """
    if not path.exists():
        return None
    former = read_retention(path)
    if other := [name for name, value in subject if getattr(former.subject, name) != value]:
        raise _of_another(path, other)
    return former


def _of_another(path: Path, names: Sequence[str]) -> CheckpointError:
    differs = subject_words(names)
    return CheckpointError(
        say(
            zh=f"这里的数字和现在要测的不同（{differs}），不能混在一起",
            en=f"these figures differ in {differs} and must not be mixed in",
        ),
        path=path,
        fix=say(
            zh="加 --fresh 从头测（会覆盖它），或先把它移走",
            en="measure anew with --fresh, which overwrites them, or move the file away",
        ),
        code="other-retention",
    )


def _no_dev() -> DatasetError:
    return DatasetError(
        say(zh="没有留给 dev 的问法", en="no wording was kept for dev"),
        fix=say(
            zh="给事实写三种以上问法，再重新训练；别的工具的数据没有事实，测不了人设保持",
            en="write three or more wordings for the facts and train again; data of other "
            "tools has no facts, so retention cannot be measured on it",
        ),
        code="no-dev",
    )


def _no_room(fault: Skipped) -> DatasetError:
    return DatasetError(
        say(
            zh=f"问题本身就要 {fault.needs} 个 token，底座只剩 {fault.has} 个的位置",
            en=f"a question takes {fault.needs} tokens by itself, the base has room for "
            f"{fault.has}",
        ),
        fix=say(zh="换一个上下文更长的底座", en="use a base with a longer context"),
        code="context",
    )

"""What evaluations left in the run folders, read for the page.

Files change under a page: an evaluation writes them while they are shown, a run is deleted
or trained again. So everything is read anew when its file has changed, and only then; and
what is damaged is told beside what is whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bot.studio.workshop import Workshop
from trainer.chat import Message
from trainer.checkpoint import RUN_FILE, Card, open_checkpoint
from trainer.dataset import Dataset, read_dataset
from trainer.errors import CheckpointError, Fault, RensheError
from trainer.evaluation_file import Column, Evaluation, read_evaluation, read_replies
from trainer.language import say
from trainer.probes import Dialogues, half_of
from trainer.retention_file import FILE, Cell, Retention, read_retention
from trainer.talk_check import shared_talk, talk_digest

T = TypeVar("T")

KEPT = 64
"""Files that are remembered as they were read."""

_MISSING = ("no-retention", "no-evaluation")


@dataclass(frozen=True)
class Results:
    """What is known of a run.

    Attributes:
        run: its id.
        card: of the checkpoint that would be measured; none if it is damaged.
        retention: as far as it was measured.
        evaluation: the plain figures.
        replies: what each column of the plain evaluation said.
        faults: what could not be read, and what to press.
    """

    run: str
    card: Card | None = None
    retention: Retention | None = None
    evaluation: Evaluation | None = None
    replies: tuple[Column, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def has_none(self) -> bool:
        """Whether nothing was ever measured."""
        return not (self.retention or self.evaluation or self.faults)

    @property
    def retention_is_old(self) -> bool:
        """Whether the run was trained on since its retention was measured."""
        measured = self.retention and self.retention.subject.prefix_sha256
        return bool(measured and self.card and measured != self.card.prefix_sha256)

    @property
    def evaluation_is_old(self) -> bool:
        """Whether the run was trained on since its plain evaluation."""
        measured = self.evaluation and self.evaluation.step
        return bool(measured and self.card and measured != self.card.step)


class Archive:
    """Reads the results of a workshop's runs; safe to use from any thread.

    Args:
        workshop: whose runs.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self._known: dict[tuple[object, ...], Any] = {}

    def results(self, run: str) -> Results:
        """Return what is known of a run.

        Raises:
            RensheError: there is no such run any more, or ``run`` is no id.
        """
        folder = self._folder(run)
        found: dict[str, Any] = {}
        faults: list[Fault] = []
        eval_folder = folder / "eval"
        wanted: dict[str, tuple[Path, Callable[[Path], Any]]] = {
            "card": (folder / RUN_FILE, lambda path: open_checkpoint(path.parent).card),
            "retention": (eval_folder / FILE, _measured),
            "evaluation": (eval_folder / "metrics.json", lambda path: read_evaluation(path.parent)),
            "replies": (eval_folder / "replies.json", lambda path: read_replies(path.parent)),
        }
        for name, (path, read) in wanted.items():
            try:
                found[name] = self._read(path, read)
            except RensheError as error:
                faults += [
                    self._told(fault) for fault in error.faults if fault.code not in _MISSING
                ]
        return Results(run, **found, faults=tuple(faults))

    def retention(self, run: str) -> Retention:
        """Return the retention of a run.

        Raises:
            RensheError: it is gone, not measured or damaged.
        """
        found = self.results(run)
        if found.retention is None:
            raise CheckpointError(faults=found.faults or (_not_measured(run),))
        return found.retention

    def measured(self) -> list[str]:
        """Return the runs of which there is a retention, the youngest first."""
        runs = self.workshop.runs()
        return [run for run in runs if (self._folder(run) / "eval" / FILE).is_file()]

    def stamp(self, run: str) -> str:
        """Return what changes when the results of a run do."""
        try:
            folder = self._folder(run)
        except RensheError:
            return "gone"
        names = (RUN_FILE, f"eval/{FILE}", "eval/metrics.json", "eval/replies.json")
        return repr([run, *(_stamp(folder / name) for name in names)])

    def dataset(self, run: str) -> Dataset:
        """Return what a run was trained on.

        Raises:
            RensheError: it is missing or damaged.
        """
        folder = self._folder(run) / "data"
        found: Dataset = self._read(folder / "manifest.json", lambda path: read_dataset(folder))
        return found

    def talk_before(self, found: Results, cell: Cell, fact: str) -> tuple[Message, ...]:
        """Return what was said before the questions about a fact were asked.

        It is not on disk: it follows from the persona, the data and the test talk, as it did
        when it was measured, and is shown only if all three are the same still.

        Raises:
            RensheError: they are not.
        """
        if not cell.depth:
            return ()
        dialogues = self._dialogues(found)
        return dialogues.before(cell.history, cell.depth, half_of(fact))

    def _dialogues(self, found: Results) -> Dialogues:
        card, retention = found.card, found.retention
        if card is None or retention is None:
            raise _other_talk()
        subject, persona = retention.subject, card.persona
        key = ("talk", subject.persona_digest, subject.dataset_sha256, subject.talk_sha256)
        try:
            dataset = self.dataset(found.run)
        except RensheError as error:
            raise _other_talk() from error
        if persona.digest() != subject.persona_digest:
            raise _other_talk()
        if key not in self._known:
            if (dataset.digest(), talk_digest(persona.language)) != key[2:]:
                raise _other_talk()
            unfit = shared_talk(persona)
            self._remember(key, Dialogues(persona, dataset.manifest.dev_wordings, unfit))
        dialogues: Dialogues = self._known[key]
        return dialogues

    def _folder(self, run: str) -> Path:
        folder = self.workshop.run_folder(run)
        if not (folder / RUN_FILE).is_file():
            raise _gone(run)
        return folder

    def _read(self, path: Path, read: Callable[[Path], T]) -> T:
        """Return what ``read`` makes of a file, or made of it when it was as it is now."""
        key = (path, _stamp(path))
        if key not in self._known:
            self._remember(key, read(path))
        found: T = self._known[key]
        return found

    def _remember(self, key: tuple[object, ...], value: object) -> None:
        while len(self._known) >= KEPT:
            self._known.pop(next(iter(self._known)), None)
        self._known[key] = value

    def _told(self, fault: Fault) -> Fault:
        """Word a fault for a page: its place within the project, and what to press there."""
        path = fault.path
        if path is not None and path.is_relative_to(self.workshop.root):
            path = path.relative_to(self.workshop.root)
        fixes = {
            "retention-damaged": say(
                zh="重新测一遍人设保持：坏的那份会被换掉",
                en="measure retention again: the damaged file is replaced",
            ),
            "evaluation-damaged": say(
                zh="重新和底座比一次：坏的那份会被换掉",
                en="compare it with the base again: the damaged file is replaced",
            ),
        }
        return replace(fault, path=path, fix=fixes.get(fault.code, fault.fix))


def _measured(path: Path) -> Retention:
    """Read a retention; one in which nothing was measured is none."""
    found = read_retention(path)
    if not found.cells:
        raise CheckpointError(faults=(_not_measured(path.parent.parent.name),))
    return found


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size


def _gone(run: str) -> RensheError:
    return RensheError(
        say(zh=f"{run} 不在了：可能被删掉或改了名", en=f"{run} is gone: deleted or renamed"),
        fix=say(zh="换一次训练看", en="choose another run"),
        code="run-gone",
    )


def _not_measured(run: str) -> Fault:
    return Fault(
        say(zh=f"{run} 还没有测过人设保持", en=f"the retention of {run} was not measured yet"),
        fix=say(zh="先测一次", en="measure it first"),
        code="no-retention",
    )


def _other_talk() -> RensheError:
    return RensheError(
        say(
            zh="测完以后，人设、数据或测试用的闲聊变了或不在了，问题前面聊的话还原不出来",
            en="since it was measured the persona, the data or the test talk has changed or gone, "
            "so what was said before the questions cannot be shown",
        ),
        fix=say(zh="重新测一遍就有了", en="measure it again"),
        code="other-talk",
    )

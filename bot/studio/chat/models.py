"""The models that are talked to: loaded when first needed, and shared by all visitors.

A speaker is a run, or the base of a run that was never tuned, with or without the persona's
summary as system text. A prefix is a few megabytes and a base may be all that a machine
holds, so a run and its base share one, and only a few bases are kept.

Nothing here imports torch before a model is loaded.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bot.studio.chat.speakers import Speaker
from bot.studio.workshop import Workshop
from trainer.chat import Message, latest_rounds
from trainer.checkpoint import RUN_FILE, Checkpoint, open_checkpoint
from trainer.errors import BaseModelError, CheckpointError, RensheError
from trainer.guard import Counts, Draw, Guard
from trainer.language import say
from trainer.persona import Persona
from trainer.sampling import Sampling

if TYPE_CHECKING:
    from trainer.model import Base

Report = Callable[[str, float], None]

BASES = 3
"""Bases that are kept loaded, as many as may answer side by side."""

PREFIXES = 8
"""Speakers that are kept for each of them."""


class Voice:
    """A loaded speaker.

    Args:
        persona: as it was trained.
        draw: the unguarded model, a step at a time.
        tuned: it is guarded; a base that was never tuned is shown as it is.
    """

    def __init__(self, persona: Persona, draw: Draw, *, tuned: bool) -> None:
        self.persona = persona
        self._draw = draw
        self._tuned = tuned

    def answer(
        self, messages: Sequence[Message], sampling: Sampling, *, guarded: bool = True
    ) -> Answer:
        """Begin to answer the last message."""
        guard = Guard(self.persona, self._draw) if guarded and self._tuned else None
        return Answer(guard, (guard.stream if guard else self._draw)(messages, sampling))


class Answer:
    """A reply while it grows: iterate for the reply so far, each time it has changed."""

    def __init__(self, guard: Guard | None, texts: Iterator[str]) -> None:
        self._guard = guard
        self._texts = texts

    def __iter__(self) -> Iterator[str]:
        return self._texts

    @property
    def counts(self) -> Counts:
        """What the guard did for it so far."""
        return self._guard.counts if self._guard else Counts()


class Models:
    """The speakers of a workshop.

    Args:
        workshop: whose runs they are.
        bases: see :data:`BASES`.
    """

    def __init__(self, workshop: Workshop, bases: int = BASES) -> None:
        self._workshop = workshop
        self._most = bases
        self._cards: dict[str, tuple[tuple[int, int], Checkpoint]] = {}
        self._bases: OrderedDict[_Identity, _Loaded] = OrderedDict()
        self._loading = threading.Lock()
        self._keeping = threading.Lock()
        self._turn = threading.Lock()
        self._stopped = threading.Event()

    def speakers(self) -> list[Speaker]:
        """Return all runs, the youngest first, and after them the base of each, named once.

        A run that cannot be read is among them: whoever chooses it is told why.
        """
        runs = self._workshop.runs()
        tuned = [Speaker("tuned", run) for run in runs]
        plain: dict[_Identity, Speaker] = {}
        told: dict[_Identity, Speaker] = {}
        for run in runs:
            try:
                checkpoint = self.checkpoint(run)
            except RensheError:
                continue
            base = _identity(checkpoint)
            plain.setdefault(base, Speaker("base", run))
            told.setdefault((*base, checkpoint.card.persona.summary), Speaker("told", run))
        return [*tuned, *plain.values(), *told.values()]

    def checkpoint(self, run: str) -> Checkpoint:
        """Return what a run answers with, read again only when it was trained on.

        Raises:
            RensheError: it is gone or damaged.
        """
        folder = self._workshop.run_folder(run)
        try:
            found = (folder / RUN_FILE).stat()
        except OSError:
            self._cards.pop(run, None)
            raise _gone(run) from None
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._cards.get(run)
        if known is None or known[0] != stamp:
            known = self._cards[run] = (stamp, open_checkpoint(folder))
        return known[1]

    def label(self, who: Speaker) -> str:
        """Return what a person calls a speaker, also when it cannot be read."""
        try:
            card = self.checkpoint(who.run).card
        except RensheError:
            return f"{who.run} ⚠"
        if who.kind == "tuned":
            return f"{card.persona.name} · {who.run}"
        base = Path(card.base).name or card.base
        bits = f" int{card.bits}" if card.bits else ""
        plain = say(zh=f"底座 {base}{bits}", en=f"base {base}{bits}")
        if who.kind == "base":
            return plain
        return say(
            zh=f"{plain} + {card.persona.name}的自述",
            en=f"{plain} + {card.persona.name}'s summary",
        )

    def ready(self, who: Speaker) -> Voice | None:
        """Return a speaker if it is loaded, as its run is now.

        Raises:
            RensheError: its run is gone or damaged.
        """
        checkpoint = self.checkpoint(who.run)
        with self._keeping:
            loaded = self._bases.get(_identity(checkpoint))
            known = loaded.voices.get(who) if loaded else None
            if known is None or known[0] is not checkpoint:
                return None
            self._bases.move_to_end(_identity(checkpoint))
            return known[1]

    def load(self, who: Speaker, report: Report = lambda _stage, _done: None) -> Voice:
        """Load a speaker; one is loaded at a time, others wait.

        Raises:
            RensheError: its run or its base is missing, damaged or too large.
        """
        with self._loading:
            if (voice := self.ready(who)) is not None:
                return voice
            checkpoint = self.checkpoint(who.run)
            try:
                return self._load(who, checkpoint, report)
            except (MemoryError, RuntimeError) as error:
                _refuse_bug(error)
            with self._keeping:
                self._bases.clear()  # what others hold goes when they are answered
            try:
                return self._load(who, checkpoint, report)
            except (MemoryError, RuntimeError) as error:
                _refuse_bug(error)
                raise _too_large(checkpoint) from error

    def stop(self) -> None:
        """End every reply at its next word, for good."""
        self._stopped.set()

    def _load(self, who: Speaker, checkpoint: Checkpoint, report: Report) -> Voice:
        loaded = self._base(checkpoint, report)
        voice = self._voice(who, checkpoint, loaded.base)
        with self._keeping:
            loaded.voices[who] = (checkpoint, voice)
            while len(loaded.voices) > PREFIXES:
                loaded.voices.popitem(last=False)
        return voice

    def _base(self, checkpoint: Checkpoint, report: Report) -> _Loaded:
        """Return the base of a checkpoint, after making room for it."""
        from trainer.model import load_base_of

        identity = _identity(checkpoint)
        with self._keeping:
            if (loaded := self._bases.get(identity)) is not None:
                self._bases.move_to_end(identity)
                return loaded
            while len(self._bases) >= self._most:
                self._bases.popitem(last=False)
        loaded = _Loaded(load_base_of(checkpoint, report=report), OrderedDict())
        with self._keeping:
            self._bases[identity] = loaded
        return loaded

    def _voice(self, who: Speaker, checkpoint: Checkpoint, base: Base) -> Voice:
        from bot.engine.tuned import step_by_step
        from trainer.guard import unguarded
        from trainer.model import attach

        persona = checkpoint.card.persona
        if who.kind == "tuned":
            draw = unguarded(attach(checkpoint, base))
        else:
            draw = _untuned(base, persona.summary if who.kind == "told" else None)
        stepping = step_by_step(draw, self._turn, self._stopped)
        return Voice(persona, stepping, tuned=who.kind == "tuned")


_Identity = tuple[str, ...]
"""What two checkpoints must share to share a base."""


@dataclass(frozen=True)
class _Loaded:
    """A base, and the speakers that stand on it with the checkpoints they were made of."""

    base: Base
    voices: OrderedDict[Speaker, tuple[Checkpoint, Voice]]


def _identity(checkpoint: Checkpoint) -> _Identity:
    card = checkpoint.card
    backend = card.settings.quantization_backend
    return (card.base, card.base_sha256, str(card.bits), card.chat_format, backend)


def _untuned(base: Base, system: str | None) -> Draw:
    """Return what a base answers that was never tuned, as far back as it can see."""
    from trainer.generate import stream_reply

    def draw(messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        room = base.context - sampling.max_new_tokens

        def fits(rounds: Sequence[Message]) -> bool:
            return len(base.encode(rounds, None, system=system).ids) <= room

        seen = latest_rounds(messages, fits)
        return stream_reply(base, None, seen, system=system, sampling=sampling)

    return draw


def _refuse_bug(error: Exception) -> None:
    """Raise what is no lack of memory again; a card's is an error of PyTorch's own."""
    if not isinstance(error, MemoryError) and "memory" not in str(error).lower():
        raise error


def _gone(run: str) -> CheckpointError:
    return CheckpointError(
        say(zh=f"训练 {run} 已经不在了", en=f"the run {run} is not there any more"),
        fix=say(zh="换一个说话人；说过的话都还在", en="choose another; what was said is kept"),
        code="run-gone",
    )


def _too_large(checkpoint: Checkpoint) -> BaseModelError:
    base = checkpoint.card.base
    return BaseModelError(
        say(zh=f"内存装不下底座 {base}", en=f"there is not enough memory for the base {base}"),
        fix=say(
            zh="少选几个说话人，或关掉别的程序，再说一遍",
            en="choose fewer speakers, or close other programs, and say it again",
        ),
        code="memory",
    )

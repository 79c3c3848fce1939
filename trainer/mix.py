"""The training mix: what is taught, taught again in other words and after other talk.

Every question is asked again and again, each time after another history: of general talk,
of the persona's own rounds, and of replies in which somebody's language model speaks, so
that a slip is no reason to go on slipping. The history carries no loss. Several questions
share one history, and thereby its tokens (:mod:`trainer.batches`).

What an author wrote a few ways of asking is asked in all the ways that are known
(:func:`trainer.talk.intents`) and as people type it (:mod:`trainer.paraphrase`), except
what is near a question kept for dev. Who asks whether it is not really some company's
model is told who it is. General talk with the base's own replies may be mixed in
(:mod:`trainer.replay`).

Everything is drawn from a seed: the same persona gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from random import Random

from trainer.chat import Message
from trainer.dataset import count_kinds
from trainer.dataset_files import Dataset
from trainer.dataset_split import canonical_questions, leak_check
from trainer.example import Example
from trainer.mix_settings import Mix
from trainer.near import is_near
from trainer.paraphrase import rephrased
from trainer.persona import Fact, Persona
from trainer.talk import Exchange, Language, intents, leaked, messages, scraps
from trainer.wording import canonical


def mixed(dataset: Dataset, mix: Mix, replies: Sequence[Example] = ()) -> Dataset:
    """Return the dataset with its training part replaced by the mix; dev stays as it is.

    The kinds: ``pair`` in round one, ``depth`` after other talk, ``recovery`` after a reply
    that broke character, ``wording`` in words that the author did not write, ``probe`` of
    its identity, ``replay`` and ``dialogue``.

    Args:
        dataset: a persona's, as :func:`trainer.dataset.compile_persona` makes it.
        mix: the settings.
        replies: general talk with the base's own replies, for ``mix.replay``.
    """
    manifest = dataset.manifest
    persona = manifest.persona
    drawn = Random(f"{manifest.seed}/mix")
    pairs = [example for example in dataset.train if example.kind == "pair"]
    kept = canonical_questions(dataset.dev)
    others = [example for example in dataset.train if example.kind != "pair"]
    shares = [
        (known_wordings(persona, pairs, dataset.dev), mix.wordings),
        (identity_probes(persona, dataset.dev), mix.probes),
        (replies, mix.replay),
    ]
    histories = _Histories(persona.language, pairs, kept, mix, drawn)
    spoken = _Spoken(persona.language, kept, mix, drawn)
    train: list[Example] = []
    for number in range(mix.passes):
        # Once as it is written: that is what its author, and TrainPair, will ask.
        asked = [spoken.asked(pair) if number else pair for pair in pairs]
        for examples, share in shares:
            asked += _some(examples, round(share * len(pairs)), drawn)
        drawn.shuffle(asked)
        for start in range(0, len(asked), mix.questions):
            history, kind = histories.draw()
            train += [
                _after(history, kind, example) for example in asked[start : start + mix.questions]
            ]
        train += others
    check = leak_check(train, dataset.dev)
    counts = {**manifest.counts, "train": count_kinds(train)}
    changed = manifest.model_copy(update={"counts": counts, "mix": mix, "leak_check": check})
    return Dataset(tuple(train), dataset.dev, changed)


def known_wordings(
    persona: Persona, pairs: Sequence[Example], dev: Sequence[Example]
) -> list[Example]:
    """Return the persona's facts in the other wordings that are known of what was asked.

    A fact is what people say to any character if one of its taught wordings is, nearly, a
    known one; of several the one that shares most of them. What dev asks is left out.
    """
    kept = canonical_questions(dev)
    taught: dict[str, list[str]] = {}
    for pair in pairs:
        taught.setdefault(pair.fact or "", []).append(canonical(pair.prompt))
    everything = [*kept, *(wording for wordings in taught.values() for wording in wordings)]
    return [
        example
        for fact in persona.facts
        for example in _reworded(fact, persona, taught.get(fact.id, []))
        if not is_near(canonical(example.prompt), everything)
    ]


def _reworded(fact: Fact, persona: Persona, taught: Sequence[str]) -> Iterator[Example]:
    best, most = None, 0
    for intent in intents(persona.language):
        known = [canonical(wording) for wording in intent.wordings]
        shared = sum(is_near(wording, known) for wording in taught)
        if shared > most:
            best, most = intent, shared
    for index, wording in enumerate(best.wordings if best else ()):
        answer = fact.answer[index % len(fact.answer)]
        asked, told = Message("user", wording), Message("assistant", answer)
        yield Example((asked, told), "wording", fact.id)


def identity_probes(persona: Persona, dev: Sequence[Example]) -> list[Example]:
    """Return questions whether it is not really somebody's model, answered with who it is.

    None for a persona that no fact names. Where the author has an answer of its own for
    such a question, that one stands (:func:`known_wordings`).
    """
    answers = [answer for fact in persona.facts if fact.is_identity for answer in fact.answer]
    own = [canonical(question) for fact in persona.facts for question in fact.ask]
    kept = canonical_questions(dev)
    probes: list[Example] = []
    for intent in intents(persona.language):
        known = [canonical(wording) for wording in intent.wordings]
        if intent.kind != "probe" or any(is_near(question, known) for question in own):
            continue
        for wording, asked in zip(intent.wordings, known, strict=True):
            if answers and not is_near(asked, [*kept, *own]):
                told = Message("assistant", answers[len(probes) % len(answers)])
                probes.append(Example((Message("user", wording), told), "probe", None))
    return probes


class _Spoken:
    """Asks some questions as people type them instead of as they are written."""

    def __init__(self, language: Language, kept: Sequence[str], mix: Mix, drawn: Random) -> None:
        self._language, self._share, self._drawn = language, mix.rephrased, drawn
        self._kept = kept

    def asked(self, pair: Example) -> Example:
        if self._drawn.random() >= self._share:
            return pair
        text = rephrased(pair.prompt, self._language, self._drawn)
        if is_near(canonical(text), self._kept):
            return pair
        return replace(pair, messages=(Message("user", text), *pair.messages[1:]))


class _Histories:
    """Draws what was said before a question."""

    def __init__(
        self,
        language: Language,
        pairs: Sequence[Example],
        kept: Sequence[str],
        mix: Mix,
        drawn: Random,
    ) -> None:
        self._mix, self._drawn = mix, drawn

        def unasked(exchanges: Sequence[Exchange]) -> bool:
            return not any(is_near(canonical(user), kept) for user, _ in exchanges)

        self._scraps = [scrap for scrap in scraps(language, "train") if unasked(scrap)]
        self._leaked = [pair for pair in leaked(language, "train") if unasked([pair])]
        self._own: list[Exchange] = [(pair.prompt, pair.completion) for pair in pairs]

    def draw(self) -> tuple[tuple[Message, ...], str]:
        """Return a history and the kind of example that it makes of a question."""
        if self._drawn.random() < self._mix.alone:
            return (), "pair"
        rounds: list[Exchange] = []
        broken = False
        # Short histories are as likely as long ones are rare: each round once more unlikely.
        wanted = min(self._drawn.randint(1, self._mix.rounds) for _ in range(2))
        while len(rounds) < wanted:
            lot = self._drawn.random()
            if lot < self._mix.leaked:
                rounds.append(self._drawn.choice(self._leaked))
                broken = True
            elif lot < self._mix.leaked + self._mix.own and self._own:
                rounds.append(self._drawn.choice(self._own))
            else:
                rounds += self._drawn.choice(self._scraps)
        return messages(rounds[:wanted]), "recovery" if broken else "depth"


def _after(history: tuple[Message, ...], kind: str, example: Example) -> Example:
    tag = example.kind if example.kind != "pair" else kind
    return replace(example, messages=(*history, *example.messages), kind=tag)


def _some(examples: Sequence[Example], number: int, drawn: Random) -> list[Example]:
    return drawn.sample(examples, min(number, len(examples)))

"""Compiles a persona into what is taught and what is asked.

A score is worth nothing without knowing what was trained on. So the split is made in one
place, from the persona and a seed alone, and the leaks between the two parts are looked
for rather than ruled out by belief.

The way of the data: :mod:`trainer.persona` -> :func:`compile_persona`, which splits by
:mod:`trainer.dataset_split` -> :func:`write_dataset` -> :func:`read_dataset`. Data of
other tools comes in through :func:`read_examples`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from trainer.chat import Message
from trainer.dataset_files import Dataset, Manifest, read_dataset, write_dataset
from trainer.dataset_formats import read_examples
from trainer.dataset_split import MIN_WORDINGS, LeakCheck, choose_dev, leak_check
from trainer.errors import ConfigError, DatasetError
from trainer.example import Example
from trainer.language import say
from trainer.persona import Persona

__all__ = [
    "Dataset",
    "Example",
    "LeakCheck",
    "Manifest",
    "compile_persona",
    "count_kinds",
    "leak_check",
    "read_dataset",
    "read_examples",
    "write_dataset",
]

DEV_SHARE = 0.22
"""Share of a fact's wordings kept for dev; with three to six wordings it is one of them."""


def compile_persona(persona: Persona, *, seed: int = 0, dev_share: float = DEV_SHARE) -> Dataset:
    """Turn each wording of each fact into a pair and each dialogue into an example, and split.

    Args:
        persona: a persona without faults.
        seed: another seed keeps other wordings for dev.
        dev_share: share of each fact's wordings for dev, over 0 and up to 0.5.

    Raises:
        ConfigError: ``dev_share`` is out of range.
        DatasetError: a dev question was found in train.
    """
    _check_share(dev_share)
    examples = [*_pairs(persona), *_dialogues(persona)]
    kept = choose_dev(examples, seed=seed, share=dev_share)
    train = tuple(example for index, example in enumerate(examples) if index not in kept)
    dev = tuple(example for index, example in enumerate(examples) if index in kept)
    check = leak_check(train, dev)
    if check.exact or check.near:
        raise _leak(check)
    manifest = Manifest(
        persona=persona,
        persona_digest=persona.digest(),
        seed=seed,
        dev_share=dev_share,
        counts={"train": count_kinds(train), "dev": count_kinds(dev)},
        dev_wordings=_dev_wordings(dev),
        train_only=_train_only(persona, dev),
        leak_check=check,
    )
    return Dataset(train, dev, manifest)


def _pairs(persona: Persona) -> Iterator[Example]:
    for fact, wording, answer in persona.pairs():
        yield Example((Message("user", wording), Message("assistant", answer)), "pair", fact.id)


def _dialogues(persona: Persona) -> Iterator[Example]:
    for dialogue in persona.dialogues:
        messages = tuple(
            Message("user" if turn.speaker == "user" else "assistant", turn.text)
            for turn in dialogue
        )
        yield Example(messages, "dialogue", None)


def count_kinds(examples: Sequence[Example]) -> dict[str, int]:
    """Return how many examples of each kind there are, as the manifest records it."""
    return dict(sorted(Counter(example.kind for example in examples).items()))


def _dev_wordings(dev: Sequence[Example]) -> dict[str, list[str]]:
    wordings: dict[str, list[str]] = {}
    for example in dev:
        if example.fact is not None:
            wordings.setdefault(example.fact, []).append(example.prompt)
    return wordings


def _train_only(persona: Persona, dev: Sequence[Example]) -> dict[str, str]:
    asked = {example.fact for example in dev}
    return {
        fact.id: f"fewer than {MIN_WORDINGS} wordings"
        if len(fact.ask) < MIN_WORDINGS
        else "no wording is different enough from what must stay in train"
        for fact in persona.facts
        if fact.id not in asked
    }


def _check_share(dev_share: float) -> None:
    if not 0 < dev_share <= 0.5:
        raise ConfigError(
            say(
                zh=f"dev_share 应该大于 0、不超过 0.5，却是 {dev_share}",
                en=f"dev_share must be over 0 and up to 0.5, not {dev_share}",
            ),
            fix=say(zh=f"通常用 {DEV_SHARE}", en=f"{DEV_SHARE} is usual"),
            code="dev-share",
        )


def _leak(check: LeakCheck) -> DatasetError:
    return DatasetError(
        say(
            zh=f"dev 里有 {check.exact} 个问题训练集也问过，{check.near} 个几乎一样",
            en=f"train also asks {check.exact} of the dev questions, and nearly asks {check.near}",
        ),
        fix=say(
            zh="把人设里相同或几乎相同的问法合并",
            en="merge the wordings of the persona that are the same or nearly",
        ),
        code="leak",
    )

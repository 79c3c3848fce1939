"""One way to find the answer to a wording that was never taught, as a process.

``python -m benchmarks.limits_run PERSONA WAY`` prints a JSON object with Recall over every dev
wording of the persona and, where something was trained, TrainPair over every taught one.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count, islice
from pathlib import Path

import torch
from rapidfuzz import fuzz
from torch import Tensor

from benchmarks.measure import report
from trainer.batches import collate, epoch_batches
from trainer.chat import Encoded, Message
from trainer.config import TrainConfig, steps_of
from trainer.dataset import compile_persona
from trainer.dataset_files import Dataset
from trainer.example import Example
from trainer.generate import reply_all
from trainer.head import SampledHead
from trainer.metrics import is_near
from trainer.mix import mixed
from trainer.mix_settings import Mix
from trainer.model import Base, load_base
from trainer.persona import Persona, load_persona
from trainer.prefix import Prefix
from trainer.sampling import Sampling
from trainer.train import Run

Answer = Callable[[Sequence[Example]], list[str]]
Lessons = list[list[Encoded]]

RATES = {"weights": 1e-4, "weights, slower": 3e-5}
"""Steps of Adam where the weights of all layers are tuned, as full fine-tuning takes them."""


def main() -> None:
    """Teach or look up, ask, and print the figures."""
    persona, way = load_persona(Path(sys.argv[1])), sys.argv[2]
    dataset = compile_persona(persona)
    pairs = [example for example in dataset.train if example.kind == "pair"]
    held = [example for example in dataset.dev if example.fact]
    answer = WAYS[way](persona, dataset, pairs)
    facts = {fact.id: fact for fact in persona.facts}
    right = [
        facts[asked.fact or ""].matches(said)
        for asked, said in zip(held, answer(held), strict=True)
    ]
    near = [
        is_near(facts[asked.fact or ""].answer, said)
        for asked, said in zip(pairs, answer(pairs), strict=True)
    ]
    figures = {"recall": sum(right) / len(right), "train_pair": sum(near) / len(near)}
    report({"way": way, "persona": persona.name, "asked": len(right), **figures})


def _written(_persona: Persona, _dataset: Dataset, pairs: Sequence[Example]) -> Answer:
    """The answer of the taught wording that is written most alike."""

    def answer(asked: Sequence[Example]) -> list[str]:
        return [
            max(pairs, key=lambda pair: fuzz.ratio(pair.prompt, one.prompt)).completion
            for one in asked
        ]

    return answer


def _meant(_persona: Persona, _dataset: Dataset, pairs: Sequence[Example]) -> Answer:
    """The answer of the taught wording whose last states are nearest in the base, untuned."""
    base = load_base("tiny", bits=None)
    known = _features(base, pairs)

    def answer(asked: Sequence[Example]) -> list[str]:
        nearest = (_features(base, asked) @ known.T).argmax(dim=1)
        return [pairs[index].completion for index in nearest.tolist()]

    return answer


@torch.no_grad()
def _features(base: Base, asked: Sequence[Example]) -> Tensor:
    """Return ``[asked, hidden]``: mean states of each question, of length one about their mean."""
    rows = [
        base.hidden(ids, torch.ones_like(ids, dtype=torch.bool), None)[0].mean(dim=0)
        for ids in (
            torch.tensor([base.encode((Message("user", one.prompt),), None).ids]) for one in asked
        )
    ]
    states = torch.stack(rows)
    return torch.nn.functional.normalize(states - states.mean(dim=0), dim=1)


def _prefix(mix: Mix | None) -> Callable[[Persona, Dataset, Sequence[Example]], Answer]:
    """A prefix, with the default settings."""

    def tuned(persona: Persona, dataset: Dataset, _pairs: Sequence[Example]) -> Answer:
        base = load_base("tiny")
        data = mixed(dataset, mix) if mix else dataset
        config = TrainConfig(save_steps=10**6, serve="last")
        with tempfile.TemporaryDirectory() as folder:
            run = Run(base, persona, data, "", config, Path(folder) / "run")
            run.train()
        return _replies(base, run.prefix)

    return tuned


def _weights(rate: float, mix: Mix | None) -> Callable[..., Answer]:
    """Every layer's own weights in full precision, on the same data in as many steps."""

    def tuned(_persona: Persona, dataset: Dataset, _pairs: Sequence[Example]) -> Answer:
        base = load_base("tiny", bits=None)
        data = mixed(dataset, mix) if mix else dataset
        config = TrainConfig()
        lessons = [
            [base.encode(part, None) for part in base.chat.lessons(example.messages)]
            for example in data.train
        ]
        words = {word for rows in lessons for row in rows for word in row.ids}
        head = SampledHead(base, words, config.head_sample, seed=0)
        layers = base.network.base_model.layers.requires_grad_(True)
        _fit(head, list(layers.parameters()), lessons, config, rate, is_mix=mix is not None)
        layers.requires_grad_(False)
        return _replies(base, None)

    return tuned


def _fit(
    head: SampledHead,
    weights: list[torch.nn.Parameter],
    lessons: Lessons,
    config: TrainConfig,
    rate: float,
    *,
    is_mix: bool,
) -> None:
    steps = steps_of(config, len(epoch_batches(lessons, config, 0)), is_mix=is_mix)
    adam = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
    falling = torch.optim.lr_scheduler.LinearLR(adam, 1.0, 0.0, total_iters=steps)
    for step, rows in enumerate(islice(_batches(lessons, config), steps)):
        batch = collate(rows, torch.device("cpu"))
        taught = int((batch.targets >= 0).sum())
        (head.loss(batch, None, step) / taught).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(weights, config.max_grad_norm)
        adam.step()
        falling.step()
        adam.zero_grad()


def _batches(lessons: Lessons, config: TrainConfig) -> Iterator[list[Encoded]]:
    return chain.from_iterable(epoch_batches(lessons, config, epoch) for epoch in count())


def _replies(base: Base, prefix: Prefix | None) -> Answer:
    def answer(asked: Sequence[Example]) -> list[str]:
        talks = [(Message("user", one.prompt),) for one in asked]
        return reply_all(base, prefix, talks, sampling=Sampling(max_new_tokens=64))

    return answer


WAYS: dict[str, Callable[[Persona, Dataset, Sequence[Example]], Answer]] = {
    "written most alike": _written,
    "nearest in the untuned base": _meant,
    "prefix": _prefix(None),
    "prefix, mix": _prefix(Mix()),
    **{name: _weights(rate, None) for name, rate in RATES.items()},
    **{f"{name}, mix": _weights(rate, Mix()) for name, rate in RATES.items()},
}
"""From looking up to tuning everything."""


if __name__ == "__main__":
    main()

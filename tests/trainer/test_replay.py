from pathlib import Path
from typing import Any

import pytest

from trainer.chat import Message
from trainer.dataset import compile_persona
from trainer.dataset_files import Dataset
from trainer.evaluate import taught
from trainer.mix import mixed
from trainer.mix_settings import Mix
from trainer.persona import load_persona
from trainer.replay import replayed
from trainer.talk import scraps

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return compile_persona(load_persona(ROOT / "personas" / "muxue.yaml"))


def told(monkeypatch: pytest.MonkeyPatch, replies: dict[int, str]) -> list[Any]:
    """Let the base say these; returns what it was asked."""
    asked: list[Any] = []

    def answer(_base: Any, prefix: Any, talks: Any, **_: Any) -> Any:
        asked.append((prefix, talks))
        return ((index, replies.get(index, f"r{index}")) for index in range(len(talks)))

    monkeypatch.setattr("trainer.generate.reply_batch", answer)
    return asked


def test_the_untuned_base_answers_the_training_banks_talk(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = told(monkeypatch, {1: "", 2: "我是ChatGLM，由智谱开发"})
    examples = replayed(None, dataset.manifest.persona, 10, kept=dataset.dev)  # type: ignore[arg-type]
    (prefix, talks) = asked[0]
    assert prefix is None and len(talks) == 10
    bank = {scrap[0][0] for scrap in scraps("zh", "train")}
    assert {talk[0].text for talk in talks} <= bank
    # The empty reply and the one that betrays the base are no lesson.
    assert [e.completion for e in examples] == [f"r{i}" for i in range(10) if i not in (1, 2)]
    assert {example.kind for example in examples} == {"replay"}


def test_a_real_base_answers_greedily(dataset: Dataset, dense_base: Any) -> None:
    persona = dataset.manifest.persona
    one, two = (replayed(dense_base, persona, 3, seed=1) for _ in range(2))
    assert one == two and len(one) <= 3


def test_the_mix_has_its_share(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    told(monkeypatch, {})
    replies = replayed(None, dataset.manifest.persona, 40, kept=dataset.dev)  # type: ignore[arg-type]
    mix = Mix(passes=3, replay=0.1)
    counts = mixed(dataset, mix, replies).manifest.counts["train"]
    pairs = sum(example.kind == "pair" for example in dataset.train)
    assert counts["replay"] == 3 * round(0.1 * pairs)
    # It is no question of the persona's.
    assert {e.prompt for e in taught(mixed(dataset, mix, replies))} == {
        e.prompt for e in taught(dataset)
    }
    assert all(isinstance(m, Message) and e.fact is None for e in replies for m in e.messages)

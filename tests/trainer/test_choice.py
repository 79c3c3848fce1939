from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.checkpoint import open_checkpoint, read_index
from trainer.choice import QUESTIONS, Judge, make_judge
from trainer.config import TrainConfig
from trainer.dataset import Dataset, compile_persona
from trainer.errors import DatasetError
from trainer.mix import mixed
from trainer.mix_settings import Mix
from trainer.persona import Persona, load_persona
from trainer.prefix import text_prefix
from trainer.talk import running_talk
from trainer.train import Run

PERSONA = Path(__file__).parent.parent / "data" / "personas" / "good.yaml"


@pytest.fixture(scope="module")
def persona() -> Persona:
    return load_persona(PERSONA)


@pytest.fixture(scope="module")
def dataset(persona: Persona) -> Dataset:
    return compile_persona(persona)


def answering(monkeypatch: pytest.MonkeyPatch, right: list[float]) -> list[Any]:
    """Let ever another share of the replies be right; returns what was asked."""
    asked: list[Any] = []
    shares = iter(right)

    def answer(_base: Any, _prefix: Any, talks: Any, **_: Any) -> Any:
        asked.append(talks)
        share = next(shares)
        return ((i, "right" if i < share * len(talks) else "no") for i in range(len(talks)))

    monkeypatch.setattr("trainer.choice.reply_batch", answer)
    monkeypatch.setattr("trainer.persona.Fact.matches", lambda _self, reply: reply == "right")
    return asked


def test_dev_is_asked_after_the_training_banks_talk(
    persona: Persona, dataset: Dataset, dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(monkeypatch, [0.5])
    dev = [example for example in dataset.dev if example.fact]
    prefix = text_prefix(dense_base.network, [2, 5, 6])
    recall = Judge(dense_base, persona, dev, depth=3).recall(prefix)
    assert recall == pytest.approx(0.5, abs=0.5 / len(dev))
    history = running_talk(persona.language, "train", 3, "choice")
    assert all(talk[:-1] == history for talk in asked[0])
    assert [talk[-1].text for talk in asked[0]] == [example.prompt for example in dev]
    many = Judge(dense_base, persona, dev * 50, depth=0)
    answering(monkeypatch, [1.0])
    assert many.recall(prefix) == 1.0 and len(many._asked) == QUESTIONS


def test_who_chooses(persona: Persona, dataset: Dataset, dense_base: Any) -> None:
    def judged(is_mix: bool, dev: Any = dataset.dev, **settings: Any) -> bool:
        config = TrainConfig(**settings)
        return make_judge(dense_base, persona, dev, config, is_mix=is_mix) is not None

    assert judged(True) and not judged(False)
    assert judged(False, serve="retention") and not judged(True, serve="last")
    assert not judged(True, dev=())
    with pytest.raises(DatasetError, match="serve: retention") as caught:
        judged(True, dev=(), serve="retention")
    assert "serve: last" in str(caught.value)


def test_the_one_that_recalls_most_is_served(
    persona: Persona,
    dataset: Dataset,
    dense_base: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, [0.2, 0.8, 0.8, 0.4])
    data = mixed(dataset, Mix(passes=1, wordings=0))
    short = replace(data, train=tuple(e for e in data.train if len(e.messages) == 2))
    config = TrainConfig(max_steps=8, save_steps=2, per_device_train_batch_size=2)
    told: list[Any] = []
    run = Run(dense_base, persona, short, "", config, tmp_path / "run")
    run.train(lambda progress: told.append(progress.retention))
    index = read_index(tmp_path / "run")
    # Of two that recall as much, the later one.
    assert (index.best, index.last, index.chosen) == ("checkpoint-6", "checkpoint-8", True)
    assert open_checkpoint(tmp_path / "run").card.step == 6
    assert open_checkpoint(tmp_path / "run", "last").card.step == 8
    kept = open_checkpoint(tmp_path / "run").card.retention
    assert kept == max(recall for recall in told if recall is not None)

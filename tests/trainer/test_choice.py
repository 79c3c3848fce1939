from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainer.checkpoint import open_checkpoint, read_index
from trainer.choice import QUESTIONS, Judge, make_judge
from trainer.config import TrainConfig
from trainer.dataset import Dataset, compile_persona
from trainer.errors import DatasetError
from trainer.evaluate import taught
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

    monkeypatch.setattr("trainer.generate.reply_batch", answer)
    monkeypatch.setattr("trainer.persona.Fact.matches", lambda _self, reply: reply == "right")
    monkeypatch.setattr("trainer.choice.is_near", lambda _answers, reply: reply == "right")
    return asked


def test_dev_and_lessons_are_asked_after_the_training_banks_talk(
    persona: Persona, dataset: Dataset, dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [example for example in dataset.dev if example.fact]
    known = taught(dataset)[: 3 * len(held)]
    share = len(held) / (len(held) + len(known))
    asked = answering(monkeypatch, [share, 1.0])
    prefix = text_prefix(dense_base.network, [2, 5, 6])
    # All of dev and nothing else: half of what counts.
    assert Judge(dense_base, persona, held, known, depth=3).retention(prefix) == 0.5
    history = running_talk(persona.language, "train", 3, "choice")
    assert all(talk[:-1] == history for talk in asked[0])
    assert [talk[-1].text for talk in asked[0]] == [e.prompt for e in [*held, *known]]
    many = Judge(dense_base, persona, held * 50, known * 50, depth=0)
    assert many.retention(prefix) == 1.0 and len(asked[1]) == 2 * QUESTIONS


def test_who_chooses(persona: Persona, dataset: Dataset, dense_base: Any) -> None:
    mix = mixed(dataset, Mix(passes=1))

    def judged(data: Dataset, **settings: Any) -> bool:
        return make_judge(dense_base, data, persona, TrainConfig(**settings)) is not None

    assert judged(mix) and not judged(dataset)
    assert judged(dataset, serve="retention") and not judged(mix, serve="last")
    assert not judged(replace(mix, dev=()))
    with pytest.raises(DatasetError, match="serve: retention") as caught:
        judged(replace(mix, dev=()), serve="retention")
    assert "serve: last" in str(caught.value)


def test_the_one_that_recalls_most_is_served(
    persona: Persona,
    dataset: Dataset,
    dense_base: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, [0.2, 0.8, 0.8, 0.4])
    data = mixed(dataset, Mix(passes=1, wordings=0, alone=1))
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

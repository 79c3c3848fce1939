import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bot.cli import main
from bot.studio.chat.models import Models
from bot.studio.chat.speakers import Speaker, speaker
from bot.studio.workshop import Workshop
from trainer.chat import Message
from trainer.errors import RensheError
from trainer.generate import reply_all
from trainer.guard import unguarded
from trainer.model import load_tuned
from trainer.sampling import Sampling

GOOD = Path(__file__).parents[3] / "data" / "personas" / "good.yaml"
HELLO = (Message("user", "你好"),)
SHORT = Sampling(max_new_tokens=6)


def train(out: Path, base: Path, *more: str) -> None:
    settings = ("--set", "max_steps=1", "--set", "pre_seq_len=4", "--set", "device=cpu", *more)
    assert main(["train", str(GOOD), "--base", str(base), *settings, "--out", str(out)]) == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A run of one step."""
    run = tmp_path_factory.mktemp("models") / "run"
    train(run, tiny_base_folder)
    return run


@pytest.fixture
def runs(workshop: Workshop, trained: Path) -> Workshop:
    """A workshop with two runs of one base."""
    for name in ("one", "two"):
        shutil.copytree(trained, workshop.run_folder(name))
    return workshop


@pytest.fixture
def models(runs: Workshop) -> Models:
    return Models(runs)


def said(models: Models, key: str, talk: Sequence[Message] = HELLO) -> str:
    *_, last = models.load(speaker(key)).answer(talk, SHORT, guarded=False)
    return last


def test_each_speaker_is_what_it_says(models: Models, runs: Workshop) -> None:
    tuned = load_tuned(runs.run_folder("one"))
    summary = tuned.card.persona.summary
    *_, expected = unguarded(tuned)(HELLO, SHORT)
    assert said(models, "tuned:one") == expected
    base = tuned.base
    assert [said(models, "base:one")] == reply_all(base, None, [HELLO], sampling=SHORT)
    told = reply_all(base, None, [HELLO], sampling=SHORT, system=summary)
    assert [said(models, "told:one")] == told
    assert len({expected, said(models, "base:one"), *told}) == 3


def test_runs_share_a_base_that_is_loaded_once(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer.model

    loads: list[str] = []
    load = trainer.model.load_base

    def noted(name: str, **more: object) -> object:
        loads.append(name)
        return load(name, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("trainer.model.load_base", noted)
    stages: list[float] = []
    assert models.ready(Speaker("tuned", "one")) is None
    models.load(Speaker("tuned", "one"), lambda _stage, done: stages.append(done))
    for key in ("tuned:two", "base:one", "told:two", "tuned:one"):
        models.load(speaker(key))
        assert models.ready(speaker(key)) is not None
    assert len(loads) == 1 and stages[-1] == 1.0


def test_the_list_names_every_run_and_each_base_once(models: Models, runs: Workshop) -> None:
    listed = [one.key for one in models.speakers()]
    assert sorted(listed[:2]) == ["tuned:one", "tuned:two"]
    assert [key.partition(":")[0] for key in listed[2:]] == ["base", "told"]
    labels = [models.label(one) for one in models.speakers()]
    assert {"沐雪 · one", "base gemma int8", "base gemma int8 + 沐雪's summary"} < set(labels)


def test_a_run_that_was_trained_on_answers_anew(models: Models, runs: Workshop) -> None:
    before = models.load(Speaker("tuned", "one"))
    index = runs.run_folder("one") / "run.json"
    index.write_text(index.read_text("utf-8") + "\n", encoding="utf-8")
    assert models.ready(Speaker("tuned", "one")) is None
    assert models.load(Speaker("tuned", "one")) is not before


def test_a_deleted_run_is_told_also_while_it_is_loaded(models: Models, runs: Workshop) -> None:
    models.load(Speaker("tuned", "one"))
    shutil.rmtree(runs.run_folder("one"))
    with pytest.raises(RensheError, match="the run one is not there any more"):
        models.ready(Speaker("tuned", "one"))
    with pytest.raises(RensheError, match="choose another"):
        models.load(Speaker("base", "one"))
    assert models.label(Speaker("tuned", "one")) == "one ⚠"
    assert said(models, "tuned:two")


def test_a_damaged_checkpoint_is_told_and_still_listed(models: Models, runs: Workshop) -> None:
    (prefix,) = runs.run_folder("one").glob("checkpoint-*/prefix.safetensors")
    prefix.write_bytes(b"broken")
    with pytest.raises(RensheError, match="sha256") as error:
        models.load(Speaker("tuned", "one"))
    assert error.value.faults[0].fix
    assert Speaker("tuned", "one") in models.speakers()
    assert said(models, "tuned:two")


def test_a_missing_base_is_told(workshop: Workshop, tiny_base_folder: Path, tmp_path: Path) -> None:
    base = tmp_path / "base"
    shutil.copytree(tiny_base_folder, base)
    train(workshop.run_folder("one"), base)
    shutil.rmtree(base)
    with pytest.raises(RensheError) as error:
        Models(workshop).load(Speaker("tuned", "one"))
    assert str(base) in str(error.value) and error.value.faults[0].fix


def test_a_lack_of_memory_frees_what_others_hold_and_tries_again(
    models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trainer.model

    load, fails = trainer.model.load_base_of, [True]

    def full(*given: object, **more: object) -> object:
        if fails.pop(0):
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return load(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("trainer.model.load_base_of", full)
    fails[:] = [True, False]
    models.load(Speaker("tuned", "one"))
    fails[:] = [True, True]
    with pytest.raises(RensheError, match="not enough memory"):
        Models(models._workshop).load(Speaker("tuned", "one"))


def test_only_a_few_bases_are_kept(runs: Workshop, tiny_base_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(tiny_base_folder, other)
    train(runs.run_folder("three"), other)
    models = Models(runs, bases=1)
    models.load(Speaker("tuned", "one"))
    models.load(Speaker("tuned", "three"))
    assert models.ready(Speaker("tuned", "one")) is None
    assert models.ready(Speaker("tuned", "three")) is not None


@pytest.mark.parametrize("key", ["", "tuned", "tuned:", "tuned:../x", "other:one", "base:/etc"])
def test_a_key_from_a_page_is_no_path(key: str) -> None:
    with pytest.raises(RensheError, match="no speaker"):
        speaker(key)

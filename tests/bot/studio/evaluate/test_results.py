import json
import os
import shutil
from pathlib import Path

import pytest

from bot.studio.evaluate.results import Archive
from bot.studio.workshop import Workshop
from tests.bot.studio.runs import DORY, evaluate, make_run, measure
from trainer.dataset import read_dataset
from trainer.errors import RensheError
from trainer.evaluation_file import FIGURES_FILE, REPLIES_FILE
from trainer.persona import load_persona
from trainer.probes import Dialogues, half_of
from trainer.retention_file import FILE
from trainer.talk_check import unfit_talk


@pytest.fixture
def archive(workshop: Workshop) -> Archive:
    return Archive(workshop)


def test_a_run_that_was_never_evaluated_has_no_results_and_no_fault(
    archive: Archive, folder: Path
) -> None:
    found = archive.results("dory")
    assert found.has_none and found.faults == ()
    assert found.card is not None and found.card.persona.name == "Dory Pellow"
    assert archive.measured() == []
    with pytest.raises(RensheError) as error:
        archive.retention("dory")
    assert error.value.faults[0].code == "no-retention" and error.value.faults[0].fix


def test_everything_that_was_measured_is_read(archive: Archive, folder: Path) -> None:
    measured, evaluated = measure(folder), evaluate(folder)
    found = archive.results("dory")
    assert found.retention == measured and archive.retention("dory") == measured
    assert found.evaluation is not None
    assert found.evaluation.arms["tuned"].bleu_4 == evaluated.arms["tuned"].bleu_4
    assert [row.base for row in found.replies] == ["I am a model."]
    assert not (found.retention_is_old or found.evaluation_is_old or found.faults)
    assert archive.measured() == ["dory"]


def test_a_file_is_read_again_when_it_has_changed_and_only_then(
    archive: Archive, folder: Path
) -> None:
    measure(folder)
    first = archive.results("dory").retention
    stamp = archive.stamp("dory")
    assert archive.results("dory").retention is first and archive.stamp("dory") == stamp
    measure(folder, places=[("neutral", 0)])
    again = archive.results("dory").retention
    assert again is not None and len(again.cells) == 1 and archive.stamp("dory") != stamp


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', "\x00" * 100])
@pytest.mark.parametrize("name", [FILE, FIGURES_FILE, REPLIES_FILE])
def test_a_damaged_file_is_named_with_its_fix_and_the_rest_is_read(
    archive: Archive, folder: Path, name: str, content: str
) -> None:
    measure(folder)
    evaluate(folder)
    if name == REPLIES_FILE and content == "[]":
        return  # which is whole
    (folder / "eval" / name).write_text(content)
    found = archive.results("dory")
    (fault,) = found.faults
    assert fault.path == Path("runs", "dory", "eval", name)
    assert "again" in fault.fix and "renshe" not in fault.fix
    assert bool(found.retention) is (name != FILE)
    assert bool(found.evaluation) is (name != FIGURES_FILE)
    assert not found.has_none


def test_a_measurement_without_a_single_place_is_none(archive: Archive, folder: Path) -> None:
    measure(folder, places=[])
    assert archive.results("dory").retention is None and archive.results("dory").has_none


def test_a_damaged_checkpoint_leaves_the_results_readable(archive: Archive, folder: Path) -> None:
    measure(folder)
    next(folder.glob("checkpoint-*/prefix.safetensors")).write_bytes(b"x")
    found = archive.results("dory")
    assert found.retention and found.card is None
    assert found.faults[0].code == "checkpoint-damaged"


def test_a_run_that_is_gone_is_told(archive: Archive, folder: Path) -> None:
    archive.results("dory")
    shutil.rmtree(folder)
    for ask in (archive.results, archive.retention, archive.dataset):
        with pytest.raises(RensheError, match="dory is gone"):
            ask("dory")
    assert archive.stamp("dory") == "gone" and archive.measured() == []


@pytest.mark.parametrize("name", ["../x", "/etc", "..", ""])
def test_what_is_no_id_is_no_run(archive: Archive, name: str) -> None:
    with pytest.raises(RensheError):
        archive.results(name)
    assert archive.stamp(name) == "gone"


def test_results_of_before_a_run_was_trained_on_are_old(
    archive: Archive, workshop: Workshop, folder: Path
) -> None:
    measure(folder)
    evaluate(folder)
    saved = {name: (folder / "eval" / name).read_bytes() for name in (FILE, FIGURES_FILE)}
    shutil.rmtree(folder)
    make_run(workshop, "dory", step=300)
    (folder / "eval").mkdir()
    for name, content in saved.items():
        (folder / "eval" / name).write_bytes(content)
    found = archive.results("dory")
    assert found.retention_is_old and found.evaluation_is_old


# --- what was said before the questions ----------------------------------------------------


def test_the_talk_before_is_that_which_was_measured_with(archive: Archive, folder: Path) -> None:
    measure(folder)
    found = archive.results("dory")
    assert found.retention is not None
    persona, dataset = load_persona(DORY), read_dataset(folder / "data")
    held = dataset.manifest.dev_wordings
    truth = Dialogues(persona, held, unfit_talk(persona, dataset.train, held))
    for cell in found.retention.cells:
        for fact in found.retention.facts:
            before = archive.talk_before(found, cell, fact)
            assert before == truth.before(cell.history, cell.depth, half_of(fact))
            assert len(before) == 2 * cell.depth


def changed_talk(folder: Path) -> None:
    path = folder / "eval" / FILE
    stored = json.loads(path.read_text("utf-8"))
    stored["subject"]["talk_sha256"] = "another"
    path.write_text(json.dumps(stored))


def changed_persona(folder: Path) -> None:
    path = folder / "eval" / FILE
    stored = json.loads(path.read_text("utf-8"))
    stored["subject"]["persona_digest"] = "another"
    path.write_text(json.dumps(stored))


def no_data(folder: Path) -> None:
    shutil.rmtree(folder / "data")


@pytest.mark.parametrize("change", [changed_talk, changed_persona, no_data])
def test_a_talk_that_may_have_been_another_is_not_shown(
    archive: Archive, folder: Path, change: object
) -> None:
    measure(folder)
    assert callable(change)
    change(folder)
    found = archive.results("dory")
    assert found.retention is not None
    deep = found.retention.cells[1]
    with pytest.raises(RensheError):
        archive.talk_before(found, deep, "name")
    assert archive.talk_before(found, found.retention.cells[0], "name") == ()


def test_what_is_remembered_is_bounded(
    archive: Archive, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bot.studio.evaluate.results as module

    monkeypatch.setattr(module, "KEPT", 4)
    for number in range(9):
        os.utime(folder / "run.json", (number, number))
        assert archive.results("dory").card is not None
    assert len(archive._known) <= 4

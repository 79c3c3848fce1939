import json
from pathlib import Path

import pytest

from bot.studio.workshop import Workshop
from tests.bot.studio.runs import evaluate, make_run
from trainer.errors import CheckpointError, TrainingError
from trainer.evaluation_file import (
    FIGURES_FILE,
    PREDICTIONS_FILE,
    REPLIES_FILE,
    Evaluation,
    read_evaluation,
    read_replies,
    write_evaluation,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(Workshop(tmp_path), "dory") / "eval"


@pytest.fixture
def evaluation(folder: Path) -> Evaluation:
    return evaluate(folder.parent)


def test_figures_and_replies_are_read_back(folder: Path, evaluation: Evaluation) -> None:
    read = read_evaluation(folder)
    assert read.depths == evaluation.depths
    assert read.arms["tuned"].chrf == 0.71 and read.arms["tuned"].samples == ()
    (row,) = read_replies(folder)
    assert (row.base, row.tuned) == ("I am a model.", "Dory, at the ferry!")
    assert row.prompt == evaluation.arms["base"].samples[0].prompt


def test_the_predictions_are_lines_as_the_official_code_writes_them(
    folder: Path, evaluation: Evaluation
) -> None:
    (line,) = (folder / PREDICTIONS_FILE).read_text("utf-8").splitlines()
    sample = evaluation.arms["tuned"].samples[0]
    assert json.loads(line) == {"labels": sample.reference, "predict": sample.reply}


def test_files_of_before_chrf_and_replies_were_written_are_read(
    folder: Path, evaluation: Evaluation
) -> None:
    (folder / REPLIES_FILE).unlink()
    stored = json.loads((folder / FIGURES_FILE).read_text("utf-8"))
    for arm in stored["arms"].values():
        del arm["chrf"]
    (folder / FIGURES_FILE).write_text(json.dumps(stored))
    assert read_evaluation(folder).arms["base"].chrf is None and read_replies(folder) == ()


def test_what_is_missing_or_damaged_says_which_command_makes_it(
    folder: Path, evaluation: Evaluation
) -> None:
    (folder / FIGURES_FILE).write_text('{"persona": 1}')
    (folder / REPLIES_FILE).write_text("{")
    for read, name in ((read_evaluation, FIGURES_FILE), (read_replies, REPLIES_FILE)):
        with pytest.raises(CheckpointError, match="cannot be read") as error:
            read(folder)
        assert error.value.faults[0].path == folder / name
        assert error.value.faults[0].fix == f"renshe eval {folder.parent}"
    (folder / FIGURES_FILE).unlink()
    with pytest.raises(CheckpointError, match="not been evaluated") as error:
        read_evaluation(folder)
    assert error.value.faults[0].code == "no-evaluation"


def test_a_folder_that_cannot_be_written_is_told(folder: Path, evaluation: Evaluation) -> None:
    (folder / "file").touch()
    with pytest.raises(TrainingError, match="cannot be written"):
        write_evaluation(evaluation, folder / "file")

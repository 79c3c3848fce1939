import json
from pathlib import Path

import pytest

from trainer.dataset import compile_persona, write_dataset
from trainer.errors import DatasetError, RensheError, SourceError
from trainer.persona import load_persona
from trainer.training_set import load_training_set

PERSONAS = Path(__file__).parents[1] / "data" / "personas"
GOOD = PERSONAS / "good.yaml"


def refused(error: pytest.ExceptionInfo[RensheError], code: str, path: Path) -> None:
    fault = error.value.faults[0]
    assert (fault.code, fault.path) == (code, path)
    assert fault.fix


def write_rows(path: Path, *rows: dict[str, object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder as another tool leaves it, with column names of its own."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    write_rows(
        folder / "train.json",
        {"q": "who are you", "a": "Dory", "before": []},
        {"q": "and then", "a": "we swim", "before": [["hello", "hi"]]},
    )
    return folder


# --- a persona file ---


def test_a_persona_file_is_compiled() -> None:
    training_set = load_training_set(GOOD, seed=3)
    assert training_set.persona == load_persona(GOOD)
    assert training_set.dataset == compile_persona(load_persona(GOOD), seed=3)
    assert training_set.sha256 == training_set.dataset.digest()


def test_another_seed_is_other_data() -> None:
    hashes = {load_training_set(GOOD, seed=seed).sha256 for seed in range(6)}
    assert len(hashes) > 1


def test_the_faults_of_the_persona_come_through() -> None:
    with pytest.raises(SourceError) as error:
        load_training_set(PERSONAS / "ten_faults.yaml")
    assert len(error.value.faults) >= 10


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        load_training_set(tmp_path / "nowhere.yaml")
    assert error.value.faults[0].path == tmp_path / "nowhere.yaml"


@pytest.mark.parametrize("name", ["train.json", "train.JSONL", "train.csv"])
def test_a_data_file_is_not_read_as_a_persona(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name, {"prompt": "a", "completion": "b"})
    with pytest.raises(DatasetError) as error:
        load_training_set(tmp_path / name)
    refused(error, "data-file", tmp_path / name)


# --- a compiled folder ---


def test_a_compiled_folder_is_all_that_is_needed(tmp_path: Path) -> None:
    compiled = compile_persona(load_persona(GOOD), seed=3)
    write_dataset(compiled, tmp_path / "data")
    assert load_training_set(tmp_path / "data") == load_training_set(GOOD, seed=3)
    assert load_training_set(tmp_path / "data", seed=9).dataset == compiled  # split already


def test_a_changed_folder_is_refused(tmp_path: Path) -> None:
    write_dataset(compile_persona(load_persona(GOOD)), tmp_path)
    (tmp_path / "train.json").write_text("{}\n")
    with pytest.raises(DatasetError) as error:
        load_training_set(tmp_path)
    refused(error, "changed", tmp_path / "train.json")


@pytest.mark.parametrize(
    ("given", "code"),
    [({"persona": GOOD}, "needless-persona"), ({"prompt_column": "q"}, "needless-column")],
)
@pytest.mark.parametrize("compiled", [True, False])
def test_what_would_be_ignored_is_refused(
    tmp_path: Path, given: dict[str, object], code: str, compiled: bool
) -> None:
    write_dataset(compile_persona(load_persona(GOOD)), tmp_path)
    place = tmp_path if compiled else GOOD
    with pytest.raises(DatasetError) as error:
        load_training_set(place, **given)  # type: ignore[arg-type]
    refused(error, code, place)


# --- another tool's folder ---


def test_foreign_data_is_read_by_its_columns(foreign: Path) -> None:
    training_set = load_training_set(
        foreign, persona=GOOD, prompt_column="q", response_column="a", history_column="before"
    )
    dataset, manifest = training_set.dataset, training_set.dataset.manifest
    assert [example.completion for example in dataset.train] == ["Dory", "we swim"]
    assert dataset.train[1].history == [["hello", "hi"]]
    assert dataset.dev == () and training_set.persona == load_persona(GOOD)
    assert manifest.counts == {"train": {"dialogue": 1, "pair": 1}, "dev": {}}


def test_a_known_layout_needs_no_columns(tmp_path: Path) -> None:
    write_rows(tmp_path / "train.json", {"content": "who are you", "summary": "Dory"})
    write_rows(tmp_path / "dev.json", {"content": "Who are you?", "summary": "Dory"})
    dataset = load_training_set(tmp_path, persona=GOOD).dataset
    assert len(dataset.dev) == 1
    assert dataset.manifest.leak_check.exact == 1  # told, not refused: the data is the user's


def test_foreign_data_is_complete_from_then_on(tmp_path: Path, foreign: Path) -> None:
    training_set = load_training_set(
        foreign, persona=GOOD, prompt_column="q", response_column="a", history_column="before"
    )
    write_dataset(training_set.dataset, tmp_path / "kept")
    assert load_training_set(tmp_path / "kept") == training_set


def test_foreign_data_must_say_whose_it_is(foreign: Path) -> None:
    with pytest.raises(DatasetError) as error:
        load_training_set(foreign)
    refused(error, "no-persona", foreign)
    assert "--persona" in str(error.value)


def test_a_missing_column_is_named_with_its_line(foreign: Path) -> None:
    with pytest.raises(DatasetError) as error:
        load_training_set(foreign, persona=GOOD, prompt_column="quest", response_column="a")
    assert [fault.line for fault in error.value.faults] == [1, 2]
    assert "quest" in str(error.value)


@pytest.mark.parametrize("there", ["", "thesis.docx"])
def test_a_folder_without_data_is_refused(tmp_path: Path, there: str) -> None:
    if there:
        (tmp_path / there).touch()
    with pytest.raises(DatasetError) as error:
        load_training_set(tmp_path, persona=GOOD)
    refused(error, "no-data", tmp_path)
    assert there in str(error.value)

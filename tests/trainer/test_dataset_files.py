import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.chat import Message
from trainer.dataset import Dataset, Example, LeakCheck, Manifest, compile_persona
from trainer.dataset_files import DATA_FILES, MANIFEST, read_dataset, write_dataset
from trainer.errors import DatasetError
from trainer.persona import Persona

PERSONA = Persona.model_validate(
    {
        "name": "沐雪",
        "language": "zh",
        "summary": "沐雪是一只AI女孩子",
        "facts": [
            {
                "id": "name",
                "ask": ["你是谁", "报上名来", "怎么称呼", "自我介绍"],
                "answer": ["咱是沐雪\u2028⭐"],
                "expect": "沐雪",
            }
        ],
        "dialogues": [
            [{"user": "好累"}, {"bot": "辛苦啦"}, {"user": "谢谢"}, {"bot": "不客气"}],
        ],
    }
)


@pytest.fixture
def compiled() -> Dataset:
    return compile_persona(PERSONA)


@pytest.fixture
def folder(tmp_path: Path, compiled: Dataset) -> Path:
    write_dataset(compiled, tmp_path / "muxue")
    return tmp_path / "muxue"


def refused(error: pytest.ExceptionInfo[DatasetError], code: str, path: Path) -> None:
    fault = error.value.faults[0]
    assert (fault.code, fault.path) == (code, path)
    assert fault.fix


# --- write ---


def test_the_official_scripts_can_read_the_rows(folder: Path) -> None:
    lines = (folder / "train.json").read_text("utf-8").removesuffix("\n").split("\n")
    rows = [json.loads(line) for line in lines]
    assert rows[-1] == {
        "prompt": "谢谢",
        "completion": "不客气",
        "history": [["好累", "辛苦啦"]],
        "kind": "dialogue",
        "fact": None,
    }
    assert rows[0]["history"] == [] and rows[0]["fact"] == "name"
    assert "沐雪\u2028⭐" in lines[0]


def test_the_manifest_holds_the_hash_of_each_file(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert manifest["files"] == {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in DATA_FILES
    }
    assert Persona.model_validate(manifest["persona"]) == PERSONA
    assert manifest["format_version"] == 1
    assert manifest["leak_check"] == {"exact": 0, "near": 0, "compared": 5}
    assert sorted(path.name for path in folder.iterdir()) == sorted([*DATA_FILES, MANIFEST])


def test_every_process_writes_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from trainer.persona import Persona;"
        "from trainer.dataset import compile_persona, write_dataset;"
        "persona = Persona.model_validate_json(Path(sys.argv[1]).read_bytes());"
        "write_dataset(compile_persona(persona), sys.argv[2])"
    )
    source = tmp_path / "persona.json"
    source.write_text(PERSONA.model_dump_json(), "utf-8")
    for seed, language in (("1", "zh"), ("2", "en")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RENSHE_LANG": language}
        arguments = [sys.executable, "-c", code, str(source), str(tmp_path / seed)]
        subprocess.run(arguments, env=environment, check=True)
    for name in (*DATA_FILES, MANIFEST):
        assert (tmp_path / "1" / name).read_bytes() == (tmp_path / "2" / name).read_bytes()


def test_writing_again_is_no_change(folder: Path, compiled: Dataset) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_dataset(compiled, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_another_persona_takes_the_place_of_the_old_one(folder: Path) -> None:
    other = compile_persona(PERSONA.model_copy(update={"dialogues": ()}), seed=5)
    write_dataset(other, folder)
    assert read_dataset(folder) == other


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path, compiled: Dataset) -> None:
    (tmp_path / "thesis.docx").write_text("years of work")
    with pytest.raises(DatasetError) as error:
        write_dataset(compiled, tmp_path)
    refused(error, "not-empty", tmp_path)
    assert "thesis.docx" in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.docx"]
    write_dataset(compiled, tmp_path, force=True)
    assert (tmp_path / "thesis.docx").read_text() == "years of work"
    assert read_dataset(tmp_path) == compiled


def test_data_that_was_not_compiled_is_left_alone(tmp_path: Path, compiled: Dataset) -> None:
    (tmp_path / "train.json").write_text("my own")
    with pytest.raises(DatasetError) as error:
        write_dataset(compiled, tmp_path)
    refused(error, "not-empty", tmp_path)
    assert (tmp_path / "train.json").read_text() == "my own"


def test_data_changed_by_hand_is_left_alone(folder: Path, compiled: Dataset) -> None:
    with (folder / "dev.json").open("a") as file:
        file.write("\n")
    with pytest.raises(DatasetError) as error:
        write_dataset(compiled, folder)
    refused(error, "not-empty", folder)
    write_dataset(compiled, folder, force=True)
    assert read_dataset(folder) == compiled


def test_hidden_files_do_not_matter(tmp_path: Path, compiled: Dataset) -> None:
    (tmp_path / ".DS_Store").touch()
    write_dataset(compiled, tmp_path)


def test_a_file_is_no_folder(tmp_path: Path, compiled: Dataset) -> None:
    place = tmp_path / "muxue"
    place.touch()
    with pytest.raises(DatasetError) as error:
        write_dataset(compiled, place)
    refused(error, "os-error", place)


def test_a_write_cut_short_leaves_no_half_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / "train.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DatasetError, match="No space left"):
        write_dataset(compile_persona(PERSONA, seed=9), folder)
    assert (folder / "train.json").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == sorted([*DATA_FILES, MANIFEST])


def test_the_digest_is_of_the_examples(tmp_path: Path, compiled: Dataset) -> None:
    write_dataset(compiled, tmp_path / "elsewhere")
    assert read_dataset(tmp_path / "elsewhere").digest() == compiled.digest()
    swapped = Dataset(compiled.dev, compiled.train, compiled.manifest)
    assert len(compiled.digest()) == 64
    assert swapped.digest() != compiled.digest()


def test_a_persona_changed_in_the_manifest_is_refused(folder: Path) -> None:
    manifest = folder / MANIFEST
    manifest.write_text(manifest.read_text("utf-8").replace("女孩子", "男孩子"), "utf-8")
    with pytest.raises(DatasetError) as error:
        read_dataset(folder)
    refused(error, "manifest", manifest)


# --- read ---

texts = st.text(min_size=1, max_size=12).filter(lambda text: text.strip())


@st.composite
def examples(draw: st.DrawFn) -> Example:
    rounds = draw(st.lists(st.tuples(texts, texts, st.booleans()), min_size=1, max_size=3))
    messages = tuple(
        message
        for user, bot, learn in rounds
        for message in (Message("user", user), Message("assistant", bot, learn))
    )
    return Example(messages, draw(texts), draw(st.none() | texts))


@settings(deadline=None)
@given(st.lists(examples(), max_size=4), st.lists(examples(), max_size=2))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, train: list[Example], dev: list[Example]
) -> None:
    manifest = Manifest(
        persona=PERSONA,
        persona_digest=PERSONA.digest(),
        seed=1,
        dev_share=0.22,
        counts={},
        dev_wordings={"name": ["你是谁"]},
        train_only={},
        leak_check=LeakCheck(0, 0, 0),
    )
    dataset = Dataset(tuple(train), tuple(dev), manifest)
    place = tmp_path_factory.mktemp("data")
    write_dataset(dataset, place)
    assert read_dataset(place) == dataset


def test_a_compiled_persona_is_read_as_it_was(folder: Path, compiled: Dataset) -> None:
    assert read_dataset(str(folder)) == compiled


@pytest.mark.parametrize("name", DATA_FILES)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(
        (folder / name).read_bytes().replace("沐雪".encode(), "小明".encode())
    )
    with pytest.raises(DatasetError) as error:
        read_dataset(folder)
    refused(error, "changed", folder / name)


def test_all_missing_files_are_named(folder: Path) -> None:
    for name in DATA_FILES:
        (folder / name).unlink()
    with pytest.raises(DatasetError) as error:
        read_dataset(folder)
    assert [fault.path for fault in error.value.faults] == [folder / name for name in DATA_FILES]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"format_version": 2}', "\ud800"],
    ids=["empty", "cut off", "list", "nothing", "newer", "not UTF-8"],
)
def test_a_broken_manifest_is_named(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(DatasetError) as error:
        read_dataset(folder)
    refused(error, "manifest", folder / MANIFEST)


@pytest.mark.parametrize("place", ["empty", "nowhere"])
def test_a_folder_without_a_dataset_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError) as error:
        read_dataset(tmp_path / place)
    refused(error, "manifest", tmp_path / place / MANIFEST)

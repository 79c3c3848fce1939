import errno
import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from trainer import checkpoint as module
from trainer.checkpoint import (
    CARD_FILE,
    PREFIX_FILE,
    RUN_FILE,
    STATE_FILE,
    Card,
    RunIndex,
    library_versions,
    open_checkpoint,
    read_index,
    save_checkpoint,
    verify_base,
    write_index,
)
from trainer.config import TrainConfig
from trainer.errors import CheckpointError, TrainingError
from trainer.persona import load_persona

PERSONA = Path(__file__).parent.parent / "data" / "personas" / "good.yaml"
PREFIX = {"keys.0": torch.arange(12.0).reshape(1, 3, 4), "values.0": torch.ones(1, 3, 4)}
STATE = {"numbers": torch.tensor([1.0, 2.0])}


def card(step: int = 1, **changed: Any) -> Card:
    fields = {
        "base": "tiny",
        "base_sha256": "a" * 64,
        "bits": 8,
        "chat_format": "plain",
        "pre_seq_len": 3,
        "depth": 2,
        "settings": TrainConfig(),
        "persona": load_persona(PERSONA),
        "dataset_sha256": "d" * 64,
        "step": step,
        "dev_loss": 1.5,
        "versions": library_versions(),
        "prefix_sha256": "",
    }
    return Card(**{**fields, **changed})


def saved(run: Path, step: int = 1, **changed: Any) -> Path:
    folder = save_checkpoint(run, card(step, **changed), PREFIX, STATE)
    write_index(run, RunIndex(best=folder.name, last=folder.name))
    return folder


# --- saving and opening -----------------------------------------------------------------------


def test_what_was_saved_is_opened(tmp_path: Path) -> None:
    folder = saved(tmp_path, 5)
    assert folder == tmp_path / "checkpoint-5"
    assert {path.name for path in folder.iterdir()} == {PREFIX_FILE, STATE_FILE, CARD_FILE}
    for path in (tmp_path, folder):
        opened = open_checkpoint(path)
        assert opened.folder == folder
        assert opened.card.model_copy(update={"prefix_sha256": ""}) == card(5)
        assert all(torch.equal(tensor, PREFIX[name]) for name, tensor in opened.tensors().items())
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-5", RUN_FILE}


def test_the_card_is_read_by_people_too(tmp_path: Path) -> None:
    told = json.loads((saved(tmp_path) / CARD_FILE).read_text("utf-8"))
    assert told["persona"]["name"] == "沐雪"
    assert set(told["versions"]) >= {"torch", "transformers"}
    assert "沐雪" in (tmp_path / "checkpoint-1" / CARD_FILE).read_text("utf-8")
    assert all(field.description for field in Card.model_fields.values())


def test_best_and_last_are_told_apart_and_the_others_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save_checkpoint(tmp_path, card(step), PREFIX, STATE)
    write_index(tmp_path, RunIndex(best="checkpoint-1", last="checkpoint-3", finished=True))
    assert open_checkpoint(tmp_path, "best").card.step == 1
    assert open_checkpoint(tmp_path, "last").card.step == 3
    assert not (tmp_path / "checkpoint-2").exists()
    assert read_index(tmp_path).finished


def test_a_verified_base_is_accepted_and_a_foreign_one_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    opened = open_checkpoint(tmp_path)
    verify_base(opened, "tiny", "a" * 64)
    with pytest.raises(CheckpointError) as caught:
        verify_base(opened, "mine", "b" * 64)
    text = str(caught.value)
    assert "trained on the base tiny (aaaaaaaaaaaa), but mine is bbbbbbbbbbbb" in text
    assert CARD_FILE in text and "→" in text


# --- what may be wrong with one ---------------------------------------------------------------


@pytest.mark.parametrize("kind", ["missing folder", "empty folder", "file", "folder gone"])
def test_no_checkpoint_here(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "run"
    if kind == "empty folder":
        place.mkdir()
    if kind == "file":
        place.write_text("x")
    if kind == "folder gone":
        shutil.rmtree(saved(place))
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(place)
    assert str(place) in str(caught.value) and "→" in str(caught.value)
    if kind != "file":
        assert "no checkpoint here" in str(caught.value)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_prefix_is_refused(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    folder = saved(tmp_path)
    damage(folder / PREFIX_FILE)
    with pytest.raises(CheckpointError, match="sha256") as caught:
        open_checkpoint(tmp_path)
    assert str(folder / PREFIX_FILE) in str(caught.value)


@pytest.mark.parametrize("name", [CARD_FILE, RUN_FILE])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"best": 3}', b"\xff\xfe"])
def test_a_damaged_card_or_index_is_refused_with_its_place(
    tmp_path: Path, name: str, content: bytes
) -> None:
    folder = saved(tmp_path)
    place = folder if name == CARD_FILE else tmp_path
    (place / name).write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(tmp_path)
    assert str(place) in str(caught.value)


def test_unknown_keys_are_refused(tmp_path: Path) -> None:
    """A card of a later version may mean something that this one would pass over."""
    folder = saved(tmp_path)
    told = json.loads((folder / CARD_FILE).read_text("utf-8"))
    for changed in (told | {"rope": 1}, told | {"format": 2}):
        (folder / CARD_FILE).write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(CheckpointError, match="cannot be read"):
            open_checkpoint(tmp_path)


# --- a full disk, a kill ----------------------------------------------------------------------


def full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_rust(*_: Any, **__: Any) -> None:
    raise SafetensorError("I/O error: No space left on device (os error 28)")


FAILURES: list[tuple[str, Callable[..., None]]] = [
    ("safetensors.torch.save_file", full),
    ("safetensors.torch.save_file", full_in_rust),
    ("pathlib.Path.write_text", full),
    ("os.fsync", full),
    ("pathlib.Path.rename", full),
    ("pathlib.Path.mkdir", full),
]


@pytest.mark.parametrize(("where", "failure"), FAILURES)
def test_a_full_disk_leaves_the_former_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, failure: Callable[..., None]
) -> None:
    saved(tmp_path, 1)
    with monkeypatch.context() as patch:
        patch.setattr(where, failure)
        with pytest.raises(TrainingError, match="disk is full") as caught:
            saved(tmp_path, 2)
    assert "--resume" in str(caught.value)
    assert caught.value.exit_code == 1
    assert open_checkpoint(tmp_path, "last").card.step == 1
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-1", RUN_FILE}
    assert saved(tmp_path, 2).name == "checkpoint-2"


@pytest.mark.parametrize("where", ["pathlib.Path.write_text", "os.fsync", "pathlib.Path.replace"])
def test_a_full_disk_when_the_index_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    saved(tmp_path, 1)
    save_checkpoint(tmp_path, card(2), PREFIX, STATE)
    with monkeypatch.context() as patch:
        patch.setattr(where, full)
        with pytest.raises(TrainingError, match="disk is full"):
            write_index(tmp_path, RunIndex(best="checkpoint-2", last="checkpoint-2"))
    assert open_checkpoint(tmp_path, "last").card.step == 1


def test_a_real_refusal_of_the_system_is_a_message(tmp_path: Path) -> None:
    """Files of this process may not grow beyond 200 bytes for a moment."""
    saved(tmp_path, 1)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, before[1]))
    try:
        with pytest.raises(TrainingError, match="File too large"):
            save_checkpoint(tmp_path, card(2), PREFIX, STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert open_checkpoint(tmp_path).card.step == 1


def test_what_is_no_fault_of_the_disk_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("safetensors.torch.save_file", broken)
    with pytest.raises(ValueError, match="a bug"):
        save_checkpoint(tmp_path, card(), PREFIX, STATE)


def killed(run: Path, where: str) -> int:
    """Save a second checkpoint in a process that dies on the way; returns how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        if where == "before the rename":
            Path.rename = lambda *_: os._exit(9)  # type: ignore[method-assign]
        save_checkpoint(run, card(2), PREFIX, STATE)
        if where == "before the index":
            os._exit(9)
        Path.replace = lambda *_: os._exit(9)  # type: ignore[method-assign]
        write_index(run, RunIndex(best="checkpoint-2", last="checkpoint-2"))
    finally:
        os._exit(1)


@pytest.mark.parametrize("where", ["before the rename", "before the index", "inside the index"])
def test_a_kill_in_between_leaves_the_former_checkpoint(tmp_path: Path, where: str) -> None:
    saved(tmp_path, 1)
    assert killed(tmp_path, where) == 9
    assert open_checkpoint(tmp_path).card.step == open_checkpoint(tmp_path, "last").card.step == 1
    # The next save takes away what was left lying.
    saved(tmp_path, 2)
    assert open_checkpoint(tmp_path).card.step == 2
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint-2", RUN_FILE}


def test_the_files_are_on_the_disk_before_they_are_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []
    flush, rename = module._flush, Path.rename

    def watched(path: Path) -> None:
        flushed.append(path.name)
        flush(path)

    def renamed(self: Path, target: Path) -> Path:
        assert set(flushed) == {PREFIX_FILE, STATE_FILE, CARD_FILE}
        return rename(self, target)

    monkeypatch.setattr(module, "_flush", watched)
    monkeypatch.setattr(Path, "rename", renamed)
    save_checkpoint(tmp_path, card(), PREFIX, STATE)

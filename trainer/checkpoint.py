"""Checkpoints: a prefix and all that it is valid for.

A prefix is a megabyte that means nothing without the base, the chat format and the
persona it was trained on, so ``checkpoint.json`` carries all three and loading
verifies them; a mismatch cannot happen silently.

A run folder holds ``checkpoint-N/`` folders and ``run.json``, which names the best and
the last of them. A checkpoint is written beside its place and renamed into it, and
``run.json`` is replaced after that: a full disk or a kill in between leaves the former
checkpoint whole.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from trainer.config import TrainConfig
from trainer.errors import CheckpointError, TrainingError
from trainer.language import say
from trainer.persona import Persona

PREFIX_FILE = "prefix.safetensors"
CARD_FILE = "checkpoint.json"
STATE_FILE = "training_state.safetensors"
RUN_FILE = "run.json"


class Card(BaseModel):
    """``checkpoint.json``: what a prefix is valid for, and where it came from."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Literal[1] = 1
    """Version of this layout."""
    base: str
    """Name or path of the base, as it was given."""
    base_sha256: str
    """Identity of the base's weights."""
    bits: Literal[4, 8] | None
    """Bits of the base's weights during training."""
    chat_format: str
    """Key in ``trainer.chat.FORMATS``."""
    pre_seq_len: int
    """Positions in the prefix."""
    depth: int
    """Most rounds in a training conversation; serving shows the model no more."""
    anchored: bool = True
    """The last round stood where round one stands, however much was said before it."""
    settings: TrainConfig
    """All settings of the run."""
    persona: Persona
    """The persona as it was when it was trained."""
    dataset_sha256: str
    """Identity of the training set."""
    step: int
    """Updates done."""
    dev_loss: float | None
    """Mean loss per token on dev, if there is a dev set."""
    retention: float | None = None
    """Mean of Recall and TrainPair after other talk, where checkpoints are chosen by it."""
    versions: dict[str, str]
    """Versions of the libraries that made it."""
    prefix_sha256: str
    """Of ``prefix.safetensors``."""


class RunIndex(BaseModel):
    """``run.json``: which checkpoints of a run to use."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    best: str
    last: str
    chosen: bool = False
    """The best was chosen by retention, and is the one that answers."""
    finished: bool = False


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint on disk, verified.

    Attributes:
        folder: where it lies.
        card: what it is valid for.
    """

    folder: Path
    card: Card

    def tensors(self) -> dict[str, Any]:
        """Read the prefix's tensors, under the names of ``Prefix.tensors``."""
        from safetensors.torch import load_file

        return load_file(self.folder / PREFIX_FILE)


def library_versions() -> dict[str, str]:
    """Return the versions that a result may depend on."""
    return {name: version(name) for name in ("torch", "transformers", "tokenizers")}


def save_checkpoint(
    run: Path, card: Card, prefix: Mapping[str, Any], state: Mapping[str, Any]
) -> Path:
    """Write a checkpoint whole or not at all.

    Args:
        run: the run folder.
        card: its ``prefix_sha256`` is filled in here.
        prefix: tensors of the prefix.
        state: tensors to resume from.

    Raises:
        TrainingError: the disk is full or cannot be written.
    """
    from safetensors.torch import save_file

    folder, making = run / f"checkpoint-{card.step}", run / f".making-{card.step}"
    with disk_errors(folder):
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(parents=True)
        try:
            save_file(dict(prefix), making / PREFIX_FILE)
            save_file(dict(state), making / STATE_FILE)
            sealed = card.model_copy(update={"prefix_sha256": _sha256(making / PREFIX_FILE)})
            text = json.dumps(sealed.model_dump(mode="json"), ensure_ascii=False, indent=1)
            (making / CARD_FILE).write_text(text, encoding="utf-8")
            for path in making.iterdir():
                _flush(path)
            shutil.rmtree(folder, ignore_errors=True)
            making.rename(folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


def write_index(run: Path, index: RunIndex) -> None:
    """Point ``run.json`` at the best and the last checkpoint, then remove the others."""
    path, making = run / RUN_FILE, run / f".{RUN_FILE}"
    with disk_errors(path):
        making.write_text(index.model_dump_json(indent=1), encoding="utf-8")
        _flush(making)
        making.replace(path)
    for folder in run.glob("checkpoint-*"):
        if folder.name not in (index.best, index.last):
            shutil.rmtree(folder, ignore_errors=True)


def read_index(run: Path) -> RunIndex:
    """Read ``run.json``.

    Raises:
        CheckpointError: ``run`` is no run folder.
    """
    index: RunIndex = _read(run / RUN_FILE, RunIndex.model_validate_json, run)
    return index


def open_checkpoint(
    path: Path | str, which: Literal["served", "best", "last"] = "served"
) -> Checkpoint:
    """Open a run's checkpoint, or a ``checkpoint-N`` folder itself.

    Args:
        path: of the run or the checkpoint.
        which: ``served`` is the one chosen by retention, if it was chosen so, else the last:
            never the one with the best dev loss (:mod:`trainer.choice`).

    Raises:
        CheckpointError: there is none, it is damaged, or it cannot be read.
    """
    path = Path(path)
    folder = path
    if not _is_file(path / CARD_FILE):
        index = read_index(path)
        name = ("best" if index.chosen else "last") if which == "served" else which
        folder = path / getattr(index, name)
    card = _read(folder / CARD_FILE, Card.model_validate_json, folder)
    if _found_sha256(folder / PREFIX_FILE) != card.prefix_sha256:
        raise CheckpointError(
            say(
                zh="前缀文件缺失或损坏，与 checkpoint.json 记录的 sha256 不符",
                en="the prefix is missing or differs from the sha256 in checkpoint.json",
            ),
            path=folder / PREFIX_FILE,
            fix=say(zh="重新训练，或换另一个检查点", en="train again, or use another checkpoint"),
            code="checkpoint-damaged",
        )
    return Checkpoint(folder, card)


def verify_base(checkpoint: Checkpoint, name: str, sha256: str) -> None:
    """Refuse a base with other weights than the prefix was trained on.

    Raises:
        CheckpointError: if they differ.
    """
    card = checkpoint.card
    if sha256 != card.base_sha256:
        raise CheckpointError(
            say(
                zh=f"这个检查点是在底座 {card.base}（{card.base_sha256[:12]}）上训练的，"
                f"现在的 {name} 是 {sha256[:12]}",
                en=f"this checkpoint was trained on the base {card.base} "
                f"({card.base_sha256[:12]}), but {name} is {sha256[:12]}",
            ),
            path=checkpoint.folder / CARD_FILE,
            fix=say(zh="换回原来的底座，或重新训练", en="bring that base back, or train again"),
            code="base-differs",
        )


def _read(path: Path, parse: Callable[[bytes], Any], folder: Path) -> Any:
    try:
        return parse(path.read_bytes())
    except FileNotFoundError:
        problem = say(zh="这里没有检查点", en="there is no checkpoint here")
        fix = say(zh="给出 renshe train 的 --out 文件夹", en="give the --out of `renshe train`")
        raise CheckpointError(problem, path=folder, fix=fix, code="no-checkpoint") from None
    except OSError as error:
        raise _unreadable(path, error) from None
    except ValidationError as error:
        why = "; ".join(_what_is_wrong(one) for one in error.errors())
        problem = say(zh=f"读不了：{why}", en=f"cannot be read: {why}")
        fix = say(zh="重新训练，或换另一个检查点", en="train again, or use another checkpoint")
        raise CheckpointError(problem, path=path, fix=fix, code="checkpoint-damaged") from error


def _unreadable(path: Path, error: OSError) -> CheckpointError:
    why = error.strerror or error
    return CheckpointError(
        say(zh=f"读不了：{why}", en=f"cannot be read: {why}"),
        path=path,
        fix=say(zh="检查路径和权限", en="check the path and its permissions"),
        code="checkpoint-unreadable",
    )


def _is_file(path: Path) -> bool:
    """Tell whether a file is seen; in a folder that is closed to us none is."""
    try:
        return path.is_file()
    except OSError:
        return False


def _found_sha256(path: Path) -> str:
    """Return a file's sha256; nothing of a file that is not there."""
    try:
        return _sha256(path)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _unreadable(path, error) from None


def _what_is_wrong(error: Any) -> str:
    place = ".".join(map(str, error["loc"]))
    return f"{place}: {error['msg']}" if place else str(error["msg"])


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a message; the former checkpoint is untouched."""
    try:
        yield
    except Exception as error:
        code = _system_code(error)
        if code is None:
            raise
        full = code in (errno.ENOSPC, errno.EDQUOT)
        problem = (
            say(zh="磁盘满了，没有写成", en="the disk is full, this was not written")
            if full
            else say(zh=f"写不进去：{error}", en=f"cannot be written: {error}")
        )
        fix = say(
            zh="腾出空间后用 --resume 继续；上一个检查点完好",
            en="make room, then go on with --resume; the former checkpoint is whole",
        )
        raise TrainingError(problem, path=path, fix=fix, code="disk") from error


def _system_code(error: Exception) -> int | None:
    """Return the number of the system's error; safetensors has it in the text of its own."""
    if isinstance(error, OSError):
        return error.errno or 0
    told = re.search(r"\(os error (\d+)\)", str(error))
    return int(told[1]) if told else None


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

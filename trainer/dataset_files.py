"""Keeps a compiled persona on disk with what is true of it.

A data file is copied, edited and mixed up with last week's. So ``manifest.json`` records
next to the data what it was made from and the hash of each file: reading refuses data
that is not what was compiled, and writing refuses to bury anything that was not.
The same dataset gives the same bytes everywhere.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from trainer.dataset_formats import read_rows, to_row
from trainer.dataset_split import LeakCheck
from trainer.errors import DatasetError, Fault
from trainer.example import Example
from trainer.language import say
from trainer.mix_settings import Mix
from trainer.persona import Persona

MANIFEST = "manifest.json"
DATA_FILES = ("train.json", "dev.json")


class Manifest(BaseModel):
    """What is true of a compiled persona; the same in whatever language it is compiled."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    format_version: Literal[1] = 1
    """Version of the files' layout."""
    persona: Persona
    """The persona as it was compiled: a folder is all that training needs."""
    persona_digest: str
    """SHA-256 of the persona's content."""
    seed: int
    """Seed of the split."""
    dev_share: float
    """Share of each fact's wordings that was to be kept for dev."""
    counts: dict[str, dict[str, int]]
    """Examples for each split and kind."""
    dev_wordings: dict[str, list[str]]
    """For each fact the wordings that dev asks and training never sees."""
    train_only: dict[str, str]
    """The facts that dev does not ask about, and why."""
    leak_check: LeakCheck
    """Result of comparing every dev question with every train question."""
    mix: Mix | None = None
    """How the questions were put into conversations; none if each stands alone."""

    @model_validator(mode="after")
    def _same_persona(self) -> Manifest:
        if self.persona.digest() != self.persona_digest:
            raise ValueError(
                say(
                    zh="persona 和 persona_digest 不一致：写完以后被改过",
                    en="persona is not that of persona_digest: it was changed since",
                )
            )
        return self


class _StoredManifest(Manifest):
    """The manifest as it lies on disk."""

    files: dict[str, str]
    """SHA-256 of each data file."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A compiled persona.

    Attributes:
        train: what is taught, in the persona's order.
        dev: what is asked: taught facts in wordings that are not in ``train``.
        manifest: what is true of the two.
    """

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    manifest: Manifest

    def digest(self) -> str:
        """Return the SHA-256 (64 hex digits) of what is taught and asked.

        It is taken over the hashes of the two data files, so it tells the same examples
        from any other, wherever they lie and whatever else the manifest says.
        """
        return hashlib.sha256("".join(_hashes(_contents(self)).values()).encode()).hexdigest()


def write_dataset(dataset: Dataset, folder: Path | str, *, force: bool = False) -> None:
    """Write ``train.json``, ``dev.json`` and ``manifest.json`` into ``folder``.

    Each file is replaced whole, the manifest last, so that a write cut short shows as
    a wrong hash and never as half a file.

    Args:
        dataset: what to write.
        folder: made if it is not there.
        force: write even if ``folder`` holds other files or changed ones; other files stay.

    Raises:
        DatasetError: ``folder`` holds something else, or cannot be written.
    """
    folder = Path(folder)
    contents = _contents(dataset)
    stored = _StoredManifest(**dict(dataset.manifest), files=_hashes(contents))
    text = json.dumps(stored.model_dump(mode="json"), ensure_ascii=False, indent=2)
    with _os_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not force:
            _check_free(folder)
        for name, content in contents.items():
            _replace(folder / name, content)
        _replace(folder / MANIFEST, f"{text}\n".encode())


def read_dataset(folder: Path | str) -> Dataset:
    """Read back what :func:`write_dataset` wrote.

    Raises:
        DatasetError: a file is missing, broken, or not the one that was written.
    """
    folder = Path(folder)
    with _os_errors(folder):
        stored = _read_manifest(folder / MANIFEST)
        if faults := tuple(_changed(folder, stored)):
            raise DatasetError(faults=faults)
    train, dev = (tuple(read_rows(folder / name)) for name in DATA_FILES)
    manifest = Manifest(**{name: getattr(stored, name) for name in Manifest.model_fields})
    return Dataset(train, dev, manifest)


def _contents(dataset: Dataset) -> dict[str, bytes]:
    """Return each data file's name and bytes."""
    return dict(zip(DATA_FILES, map(_lines, (dataset.train, dataset.dev)), strict=True))


def _hashes(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}


def _lines(examples: Sequence[Example]) -> bytes:
    rows = (json.dumps(to_row(example), ensure_ascii=False) for example in examples)
    return "".join(f"{row}\n" for row in rows).encode()


def _replace(path: Path, content: bytes) -> None:
    """Put ``content`` in the place of ``path`` at once, so that no reader sees half of it."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _check_free(folder: Path) -> None:
    """Refuse to write over anything that compiling did not make, or over a person's changes."""
    visible = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    if strange := sorted(visible - {MANIFEST, *DATA_FILES}):
        names = ", ".join(strange[:5]) + (" …" if len(strange) > 5 else "")
        problem = say(
            zh=f"文件夹里有别的文件：{names}", en=f"the folder holds other files: {names}"
        )
        raise _not_free(folder, problem)
    if not visible:
        return
    try:
        faults = list(_changed(folder, _read_manifest(folder / MANIFEST)))
    except DatasetError as error:
        faults = list(error.faults)
    if faults:
        problem = say(
            zh=f"里面的数据不是编译出来的样子：{faults[0].problem}",
            en=f"its data is not as it was compiled: {faults[0].problem}",
        )
        raise _not_free(folder, problem)


def _not_free(folder: Path, problem: str) -> DatasetError:
    fix = say(
        zh="换一个空文件夹；确定要覆盖就加 force（--force）",
        en="choose an empty folder; to overwrite all the same, use force (--force)",
    )
    return DatasetError(problem, path=folder, fix=fix, code="not-empty")


def _read_manifest(path: Path) -> _StoredManifest:
    try:
        return _StoredManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        problem = say(zh="没有这个文件，这不是编译好的数据集", en="not there: this is no dataset")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        reason = f"{place}: {first['msg']}" if place else first["msg"]
        problem = say(zh=f"清单读不懂：{reason}", en=f"not a manifest: {reason}")
    raise DatasetError(problem, path=path, fix=_compile_again(), code="manifest")


def _changed(folder: Path, stored: _StoredManifest) -> Iterator[Fault]:
    """Yield a fault for each data file that is not the one the manifest tells of."""
    for name in DATA_FILES:
        path = folder / name
        if not path.is_file():
            problem = say(zh="缺少这个文件", en="this file is missing")
            yield Fault(problem, path, fix=_compile_again(), code="missing-file")
            continue
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != stored.files.get(name):
            problem = say(
                zh="内容和清单里的 sha256 不一致：写完以后被改过，或者没有写完",
                en="its sha256 is not the manifest's: changed since, or never finished",
            )
            yield Fault(problem, path, fix=_compile_again(), code="changed")


def _compile_again() -> str:
    return say(
        zh="用 renshe compile 重新编译人设；别处来的数据直接按文件读",
        en="compile again with renshe compile; data from elsewhere is read file by file",
    )


@contextmanager
def _os_errors(folder: Path) -> Iterator[None]:
    """Turn what the operating system refuses into an error that names the place."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            say(
                zh=f"读写失败：{error.strerror}", en=f"cannot be read or written: {error.strerror}"
            ),
            path=error.filename or folder,
            fix=say(zh="检查路径、权限和磁盘空间", en="check the path, permissions and disk space"),
            code="os-error",
        ) from None

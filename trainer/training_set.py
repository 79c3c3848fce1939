"""What a training run is given: a persona and what it is taught, wherever they come from.

A user trains on a persona file, on a folder that was compiled before, or on data that
another tool wrote. Training, checkpoints and evaluation should not care which, so all
three become the same thing here, complete: whoever holds a training set can train,
and what it writes into a run folder can be read back by this very module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainer.dataset import (
    Dataset,
    Example,
    Manifest,
    compile_persona,
    count_kinds,
    leak_check,
    read_dataset,
    read_examples,
)
from trainer.dataset_files import DATA_FILES, MANIFEST
from trainer.errors import DatasetError
from trainer.language import say
from trainer.persona import Persona, load_persona

_DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True)
class TrainingSet:
    """Whom to train, on what.

    Attributes:
        persona: whose summary starts the prefix, and who goes into the checkpoint.
        dataset: what is taught and asked.
        sha256: identity of the examples, as checkpoints record it.
    """

    persona: Persona
    dataset: Dataset
    sha256: str


@dataclass(frozen=True)
class Columns:
    """Names of the columns of another tool's data; those left out are found by layout."""

    prompt: str | None = None
    response: str | None = None
    history: str | None = None

    @property
    def named(self) -> bool:
        """Whether any column is named."""
        return any((self.prompt, self.response, self.history))


def load_training_set(
    path: Path | str,
    *,
    persona: Path | str | None = None,
    prompt_column: str | None = None,
    response_column: str | None = None,
    history_column: str | None = None,
    seed: int = 0,
) -> TrainingSet:
    """Read a persona file, a compiled folder, or a folder with another tool's data.

    Args:
        path: a persona's YAML file, compiled here and now; or a folder with ``train.json``
            and, if there are questions to keep for evaluation, ``dev.json``.
        persona: the persona's file, for data that does not tell whose it is.
        prompt_column: column of the question, in another tool's data.
        response_column: column of the answer.
        history_column: column of the earlier rounds.
        seed: of the split of a persona file.

    Raises:
        SourceError: the persona is wrong.
        DatasetError: the data is wrong, or is missing its persona.
    """
    path = Path(path)
    columns = Columns(prompt_column, response_column, history_column)
    if path.is_dir() and not (path / MANIFEST).exists():
        return _foreign(path, persona, columns)
    _refuse_needless(path, persona, columns)
    if path.is_dir():
        dataset = read_dataset(path)
    else:
        _refuse_data_file(path)
        dataset = compile_persona(load_persona(path), seed=seed)
    return _complete(dataset)


def _complete(dataset: Dataset) -> TrainingSet:
    return TrainingSet(dataset.manifest.persona, dataset, dataset.digest())


def _foreign(folder: Path, persona: Path | str | None, columns: Columns) -> TrainingSet:
    train_file, dev_file = (folder / name for name in DATA_FILES)
    if not train_file.is_file():
        raise _no_data(folder)
    return load_files(train_file, dev_file if dev_file.is_file() else None, persona, columns)


def load_files(
    train_file: Path, dev_file: Path | None, persona: Path | str | None, columns: Columns
) -> TrainingSet:
    """Read data as another tool wrote it.

    Args:
        train_file: what is taught.
        dev_file: what is kept for evaluation, if there is any.
        persona: the file of the persona whose data it is.
        columns: their names.

    Raises:
        SourceError: the persona is wrong.
        DatasetError: the data is wrong, or is missing its persona.
    """
    if persona is None:
        raise _whose(train_file.parent)
    owner = load_persona(persona)
    train = _read(train_file, columns)
    dev = _read(dev_file, columns) if dev_file else ()
    manifest = Manifest(
        persona=owner,
        persona_digest=owner.digest(),
        seed=0,
        dev_share=0.0,
        counts={"train": count_kinds(train), "dev": count_kinds(dev)},
        dev_wordings={},
        train_only={},
        leak_check=leak_check(train, dev),
    )
    return _complete(Dataset(train, dev, manifest))


def _read(path: Path, columns: Columns) -> tuple[Example, ...]:
    return tuple(
        read_examples(
            path,
            prompt_column=columns.prompt,
            response_column=columns.response,
            history_column=columns.history,
        )
    )


def _refuse_needless(path: Path, persona: Path | str | None, columns: Columns) -> None:
    """Refuse what would be ignored: a user who says it believes that it does something."""
    if persona is not None:
        raise DatasetError(
            say(
                zh="这里已经有人设，不用再给 --persona",
                en="this has its persona already, it takes no --persona",
            ),
            path=path,
            fix=say(
                zh="去掉 --persona；要换人设，就直接训练那个人设文件",
                en="leave out --persona; to train another persona, give its file instead",
            ),
            code="needless-persona",
        )
    if columns.named:
        raise DatasetError(
            say(
                zh="列名只用于别的工具写的数据",
                en="column names are only for data that another tool wrote",
            ),
            path=path,
            fix=say(
                zh="去掉 --prompt_column、--response_column、--history_column",
                en="leave out --prompt_column, --response_column and --history_column",
            ),
            code="needless-column",
        )


def _refuse_data_file(path: Path) -> None:
    """Refuse a data file before it is read as YAML, of which JSON is a part."""
    if path.suffix.lower() in _DATA_SUFFIXES:
        raise DatasetError(
            say(zh="这是数据文件，不是人设", en="this is a data file, not a persona"),
            path=path,
            fix=say(
                zh="把它放进一个文件夹，改名为 train.json（JSON 格式），训练那个文件夹",
                en="put it into a folder as train.json (in JSON) and train on that folder",
            ),
            code="data-file",
        )


def _no_data(folder: Path) -> DatasetError:
    found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    there = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
    return DatasetError(
        say(
            zh=f"这个文件夹里没有 train.json；有的是：{there or '（空）'}",
            en=f"there is no train.json in this folder; there is: {there or '(nothing)'}",
        ),
        path=folder,
        fix=say(
            zh="给出人设文件，或用 renshe compile 生成这个文件夹，或放入 train.json",
            en="give a persona file, or make the folder with renshe compile, or add a train.json",
        ),
        code="no-data",
    )


def _whose(folder: Path) -> DatasetError:
    return DatasetError(
        say(
            zh="这些数据没有说明是谁的人设",
            en="this data does not say whose persona it is",
        ),
        path=folder,
        fix=say(
            zh="加上 --persona 人设文件；还没有就先用 renshe new 写一个",
            en="add --persona FILE; to write one, begin with renshe new",
        ),
        code="no-persona",
    )

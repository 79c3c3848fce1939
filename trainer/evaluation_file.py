"""What ``renshe eval`` leaves in a run folder: its figures, and every reply to read.

``metrics.json`` holds the figures, ``replies.json`` what each column said to each question,
and ``generated_predictions.txt`` the tuned replies as the official code writes them. A page
reads them back without a model.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from trainer.checkpoint import disk_errors
from trainer.errors import CheckpointError
from trainer.language import say
from trainer.retention_file import why_unreadable

FIGURES_FILE = "metrics.json"
REPLIES_FILE = "replies.json"
PREDICTIONS_FILE = "generated_predictions.txt"

ARMS = ("base", "prompted", "tuned")
"""The columns: the base, the base told who it is by a system text, the tuned model."""


class _Model(BaseModel):
    model_config = ConfigDict(
        frozen=True, use_attribute_docstrings=True, ser_json_inf_nan="constants"
    )


class Reply(_Model):
    """A question, the written answer, and what the model said."""

    prompt: str
    reference: str
    reply: str


class ArmScores(_Model):
    """How one column answers the dev questions, in round one.

    BLEU and ROUGE are 0 to 100 as the official code prints them, chrF and the shares 0 to 1.
    """

    bleu_4: float
    rouge_1: float
    rouge_2: float
    rouge_l: float
    chrf: float | None = None
    """None in files of before it was written."""
    recall: float | None
    """Share of replies that match their fact's ``expect``; none if no fact is asked."""
    contradictions: float | None
    """Share of replies that match their fact's ``reject``."""
    leaks: float
    """Share of replies that match the persona's ``leaks``."""
    samples: tuple[Reply, ...] = ()
    """All the replies, in the order of the dev set."""


class DepthScore(_Model):
    """How the tuned model answers after ``depth`` rounds of unrelated talk."""

    depth: int
    train_pair: float
    """Share of training questions whose reply is near a written answer (chrF 0.6)."""
    train_pairs: int
    """How many training questions were asked."""
    recall: float | None
    """Share of dev questions whose reply matches their fact's ``expect``."""
    recalls: int
    """How many dev questions were asked."""
    leaks: float
    """Share of all these replies that match the persona's ``leaks``."""


class Evaluation(_Model):
    """The figures of one checkpoint."""

    persona: str
    base: str
    bits: int | None
    step: int
    arms: dict[str, ArmScores]
    depths: tuple[DepthScore, ...]


class Column(_Model):
    """A row of ``replies.json``: one question, and what each column said to it."""

    prompt: str
    reference: str
    base: str
    prompted: str
    tuned: str


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write the three files into ``folder``, each whole or not at all, the figures last.

    Raises:
        TrainingError: the disk is full or cannot be written.
    """
    figures = evaluation.model_dump(mode="json", exclude={"arms": {"__all__": {"samples"}}})
    replies = [row.model_dump() for row in _rows(evaluation)]
    predictions = [{"labels": row["reference"], "predict": row["tuned"]} for row in replies]
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in predictions)
        _replace(folder / PREDICTIONS_FILE, lines)
        _replace(folder / REPLIES_FILE, json.dumps(replies, ensure_ascii=False, indent=1) + "\n")
        _replace(folder / FIGURES_FILE, json.dumps(figures, ensure_ascii=False, indent=1) + "\n")


def read_evaluation(folder: Path) -> Evaluation:
    """Read the figures, without the replies.

    Raises:
        CheckpointError: they are not there, or damaged; says which command makes them.
    """
    path, fix = folder / FIGURES_FILE, f"renshe eval {folder.parent}"
    try:
        return Evaluation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        problem = say(zh="还没有评测过", en="it has not been evaluated yet")
        raise CheckpointError(problem, path=path, fix=fix, code="no-evaluation") from None
    except (OSError, ValidationError) as error:
        raise _damaged(path, fix, error) from error


def read_replies(folder: Path) -> tuple[Column, ...]:
    """Read what each column said; nothing where an older version wrote no replies.

    Raises:
        CheckpointError: the file is damaged.
    """
    path = folder / REPLIES_FILE
    try:
        return TypeAdapter(tuple[Column, ...]).validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise _damaged(path, f"renshe eval {folder.parent}", error) from error


def _rows(evaluation: Evaluation) -> Iterator[Column]:
    columns = [evaluation.arms[arm].samples for arm in ARMS]
    for base, prompted, tuned in zip(*columns, strict=True):
        yield Column(
            prompt=tuned.prompt,
            reference=tuned.reference,
            base=base.reply,
            prompted=prompted.reply,
            tuned=tuned.reply,
        )


def _replace(path: Path, text: str) -> None:
    making = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        making.write_text(text, encoding="utf-8")
        making.replace(path)
    finally:
        making.unlink(missing_ok=True)


def _damaged(path: Path, fix: str, error: OSError | ValidationError) -> CheckpointError:
    reason = why_unreadable(error)
    problem = say(zh=f"读不了：{reason}", en=f"cannot be read: {reason}")
    return CheckpointError(problem, path=path, fix=fix, code="evaluation-damaged")

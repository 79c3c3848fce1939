"""The error tree: what a person did that cannot work, where, and how to mend it.

Only mistakes a person can mend are :class:`RensheError`; anything else is a bug
and keeps its traceback. The command line prints :meth:`RensheError.__str__` and
exits with :attr:`RensheError.exit_code`; the page shows the same text.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one place of one input.

    Attributes:
        problem: what is wrong, in the user's language.
        path: the file or folder it is in, if there is one.
        line: 1-based line, 0 when the place is the whole file.
        column: 1-based column, 0 when unknown.
        fix: what to do about it.
        code: a short stable name, for tests and for editors.
        severity: an ``error`` refuses the input, a ``warning`` does not.
    """

    problem: str
    path: Path | None = None
    line: int = 0
    column: int = 0
    fix: str = ""
    code: str = ""
    severity: Severity = "error"

    @property
    def place(self) -> str:
        """The place as compilers and editors write it: ``path:line:column``."""
        parts = [str(self.path)] if self.path else []
        if self.line:
            parts += [str(self.line)]
            if self.column:
                parts += [str(self.column)]
        return ":".join(parts)

    def __str__(self) -> str:
        head = f"{self.place}: {self.problem}" if self.place else self.problem
        return f"{head}\n  → {self.fix}" if self.fix else head


class RensheError(Exception):
    """A mistake with its places and fixes; holds all the faults found at once.

    Args:
        problem: the only fault's text, or the headline over ``faults``.
        path, line, column, fix, code: see :class:`Fault`.
        faults: every fault, when there are several.
    """

    exit_code = 2

    def __init__(
        self,
        problem: str = "",
        *,
        path: Path | str | None = None,
        line: int = 0,
        column: int = 0,
        fix: str = "",
        code: str = "",
        faults: tuple[Fault, ...] = (),
    ) -> None:
        place = Path(path) if path is not None else None
        self.faults = faults or (Fault(problem, place, line, column, fix, code),)
        self.problem = problem
        super().__init__(problem)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class SourceError(RensheError):
    """A file a person writes (persona, settings) is wrong."""


class DatasetError(RensheError):
    """A training set cannot be read or does not fit."""


class BaseModelError(RensheError):
    """A base model is missing, damaged or of an unknown kind."""


class ConfigError(RensheError):
    """A training setting is out of range or contradicts another."""


class CheckpointError(RensheError):
    """A checkpoint is missing, damaged or belongs to something else."""


class TrainingError(RensheError):
    """A training run cannot start or go on."""

    exit_code = 1

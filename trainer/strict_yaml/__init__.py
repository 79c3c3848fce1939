"""Reading the YAML files that people write: every fault at once, each with its place and fix.

Most of Renshe's users never wrote YAML before, and a file that is refused one fault
at a time is given up on. The path of a file:

1. :func:`read_text` (``source.py``) reads bytes as UTF-8;
2. :func:`read_document` (``reader.py``) makes a :class:`Document` (``tree.py``), a tree that
   remembers the place of everything; ``syntax.py`` words what is no YAML at all;
3. :func:`fit` (``fit.py``) makes a pydantic model of it; ``wrong_value.py`` words what does
   not fit.

:func:`parse_yaml` is steps 2 and 3 in one. Nothing here knows any particular file.
"""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from trainer.errors import Fault
from trainer.strict_yaml.fit import fit, refusal
from trainer.strict_yaml.reader import read_document
from trainer.strict_yaml.source import read_text
from trainer.strict_yaml.tree import Document, Loc, Place

__all__ = ["Document", "Loc", "Place", "fit", "parse_yaml", "read_document", "read_text", "refusal"]

Model = TypeVar("Model", bound=BaseModel)


def parse_yaml(
    text: str, model: type[Model], path: Path | None = None
) -> tuple[Model | None, list[Fault]]:
    """Make a ``model`` of YAML ``text``.

    Args:
        text: the file's text.
        model: what it should become; give it ``extra="forbid"``.
        path: the file, for the faults' places.

    Returns:
        The model, None if anything is wrong, and every fault in the order of the text.
        Never raises for anything in the text.
    """
    document, faults = read_document(text, path)
    if document is None:
        return None, faults
    made, more = fit(document, model)
    faults = sorted(faults + more, key=lambda fault: (fault.line, fault.column))
    return (None if faults else made), faults

"""The studio's own ground: personas and runs, named by id and never by path.

What a page sends is whatever someone typed, so an id that is no plain name is refused
before it becomes part of a path, and a link that leads out of the two folders is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoint import RUN_FILE
from trainer.errors import RensheError
from trainer.language import say

LONGEST = 64
"""Characters in an id at most."""

HEAD = 4096
"""Characters of a persona within which its name is looked for."""

_NAME = re.compile(r"^name:\s*[\"']?([^\"'#\n]+)", re.MULTILINE)
_ID = re.compile(rf"\w[\w.-]{{0,{LONGEST - 1}}}")


@dataclass(frozen=True)
class Workshop:
    """A project folder with ``personas/`` and ``runs/``, made when they are first needed.

    Attributes:
        root: the project folder.
    """

    root: Path

    @property
    def own(self) -> Path:
        """The studio's own folder, ``runs/.studio``: chats, drafts, versions and the queue."""
        folder = self.root / "runs" / ".studio"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def personas(self) -> list[str]:
        """Return the ids of the personas, sorted."""
        files = (self.root / "personas").glob("*.yaml")
        return sorted(path.stem for path in files if is_id(path.stem) and self._is_inside(path))

    def persona_file(self, name: str) -> Path:
        """Return where a persona is written, whether it exists or not.

        Raises:
            RensheError: ``name`` is no id.
        """
        return self._place("personas", name, ".yaml")

    def runs(self) -> list[str]:
        """Return the ids of the runs that were begun, the youngest first."""
        files = [path for path in (self.root / "runs").glob(f"*/{RUN_FILE}") if is_id(_run(path))]
        files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
        return [_run(path) for path in files if self._is_inside(path)]

    def run_folder(self, name: str) -> Path:
        """Return the folder of a run, whether it exists or not.

        Raises:
            RensheError: ``name`` is no id.
        """
        return self._place("runs", name, "")

    def _place(self, folder: str, name: str, suffix: str) -> Path:
        path = self.root / folder / f"{name}{suffix}"
        if not is_id(name) or not self._is_inside(path):
            raise _no_id(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _is_inside(self, path: Path) -> bool:
        # The folder itself may be a link, to a larger disk: whoever runs the studio made it.
        folder = self.root / path.relative_to(self.root).parts[0]
        return path.resolve().is_relative_to(folder.resolve())


def name_of(path: Path) -> str:
    """Return what a persona's file calls it, from its first lines; its id if they do not tell.

    To read a persona whole takes a third of a second, and some can never be read.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = _NAME.search(file.read(HEAD))
    except OSError:
        return path.stem
    return (found[1].strip() if found else "") or path.stem


def is_id(name: str) -> bool:
    """Tell whether a name can be an id: letters of any script, digits, ``_``, ``-`` and dots."""
    return _ID.fullmatch(name) is not None


def _run(path: Path) -> str:
    return path.parent.name


def _no_id(name: str) -> RensheError:
    return RensheError(
        say(zh=f"{name[:LONGEST]!r} 不能当名字", en=f"{name[:LONGEST]!r} cannot be a name"),
        fix=say(
            zh=f"用文字、数字、_ 和 -，以文字或数字开头，最多 {LONGEST} 个字",
            en=f"use letters, digits, _ and -, a letter or digit first, {LONGEST} at most",
        ),
        code="id",
    )

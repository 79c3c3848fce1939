"""What was typed and not saved yet, on disk a moment after it was typed.

A browser closes, a laptop runs out of power, and an evening of writing is gone: so each
page that edits a persona has a draft of its own on disk. Two pages never share one, or
one would overwrite the other's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from bot.studio.whole_file import write_whole
from bot.studio.workshop import Workshop

KEPT = 20
"""Drafts of a persona that are kept; the oldest go."""

_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class Draft:
    """An unsaved text.

    Attributes:
        page: which page it was typed on.
        text: what was typed, right or wrong.
        base: digest of the file that it began from; empty for none.
        time: when it was last written, ISO 8601 in UTC.
    """

    page: str
    text: str
    base: str
    time: str

    @property
    def when(self) -> datetime:
        """When it was last written."""
        return datetime.fromisoformat(self.time)


class Drafts:
    """The drafts of a workshop, by persona and page."""

    def __init__(self, workshop: Workshop, now: Callable[[], datetime] | None = None) -> None:
        self._workshop = workshop
        self._now = now or (lambda: datetime.now(UTC))

    def keep(self, persona: str, page: str, text: str, base: str) -> None:
        """Write a page's draft, in place of its former one.

        Raises:
            RensheError: ``persona`` is no id, or the disk refuses.
        """
        path = self._file(persona, page)
        new = not path.exists()
        draft = Draft(page, text, base, self._now().isoformat())
        # A draft comes with every few keys: waiting for the disk each time would be felt.
        write_whole(path, json.dumps(asdict(draft), ensure_ascii=False), durable=False)
        if new:
            for old in self.all(persona)[KEPT:]:
                self.drop(persona, old.page)

    def all(self, persona: str) -> list[Draft]:
        """Return a persona's drafts, the youngest first; damaged ones are left where they are."""
        folder = self._folder(persona)
        found = [_read(path) for path in folder.glob("*.json")] if folder.is_dir() else []
        drafts = [draft for draft in found if draft is not None]
        return sorted(drafts, key=lambda draft: draft.time, reverse=True)

    def get(self, persona: str, page: str) -> Draft | None:
        """Return a page's draft, if it has one."""
        return _read(self._file(persona, page))

    def drop(self, persona: str, page: str) -> None:
        """Forget a page's draft."""
        self._file(persona, page).unlink(missing_ok=True)

    def personas(self) -> list[str]:
        """Return the ids of the personas that have drafts, written to a file yet or not."""
        folders = (self._workshop.own / "drafts").glob("*/")
        return sorted(folder.name for folder in folders if any(folder.glob("*.json")))

    def _folder(self, persona: str) -> Path:
        self._workshop.persona_file(persona)  # refuses what is no id
        return self._workshop.own / "drafts" / persona

    def _file(self, persona: str, page: str) -> Path:
        if not _TOKEN.fullmatch(page):
            raise ValueError(f"no page: {page!r}")  # made by the server, so a bug
        return self._folder(persona) / f"{page}.json"


def _read(path: Path) -> Draft | None:
    try:
        draft = Draft(**json.loads(path.read_bytes()))
        draft.when  # noqa: B018 (damaged if it is no time)
        return draft
    except (OSError, ValueError, TypeError):
        return None

"""What one page does with one persona: open it, take edits, keep the draft, save it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.studio.persona.desk import Desk, bounded, ended, sha256
from bot.studio.persona.drafts import Draft, Drafts
from bot.studio.persona.edit import Change, edited, sound
from bot.studio.persona.fields import Fields, changes, new_fact, talk_value
from bot.studio.persona.pasted import Line
from bot.studio.persona.place import Place
from bot.studio.workshop import Workshop, is_id, name_of
from trainer.errors import RensheError
from trainer.language import Language, say
from trainer.templates import file_stem, new_persona


@dataclass(frozen=True)
class Sheet:
    """A text at a place."""

    place: Place
    text: str
    offers: tuple[Draft, ...] = field(default=())


class PersonaPage:
    """The persona files, drafts and versions of a workshop, as pages use them."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.desk = Desk(workshop)
        self.drafts = Drafts(workshop)

    def ids(self) -> list[str]:
        """Return the ids of what can be opened: files, and drafts whose file is gone."""
        return sorted({*self.workshop.personas(), *self.drafts.personas()})

    def open(self, name: str, page: str) -> Sheet:
        """Open a persona for a page, with the drafts that other pages left of it.

        Raises:
            RensheError: ``name`` is no id, or neither a file nor a draft can be read.
        """
        drafts = self.drafts.all(name)
        own = next((draft for draft in drafts if draft.page == page), None)
        if own is not None:
            return self.go_on(name, own)
        if not self.desk.digest(name) and drafts:
            return self.go_on(name, drafts[0])
        opened = self.desk.open(name)
        unlike = [draft for draft in drafts if ended(draft.text) != ended(opened.text)]
        return Sheet(Place(name, opened.digest, opened.newline), opened.text, tuple(unlike))

    def go_on(self, name: str, draft: Draft) -> Sheet:
        """Open a draft; a save still asks for the file that it began from."""
        try:
            newline = self.desk.open(name).newline
        except RensheError:
            newline = "\n"
        return Sheet(Place(name, draft.base, newline), draft.text)

    def take_draft(self, place: Place, page: str, owner: str) -> Sheet:
        """Go on with a draft of another page, which becomes this page's own.

        Raises:
            RensheError: it is gone.
        """
        known = {draft.page: draft for draft in self.drafts.all(place.id)}
        if owner not in known:
            raise RensheError(
                say(zh="这份草稿已经没有了", en="this draft is gone"),
                fix=say(zh="可能已经保存了，重新打开看看", en="it may be saved: open it again"),
                code="no-draft",
            )
        self.drafts.keep(place.id, page, known[owner].text, known[owner].base)
        if owner != page:
            self.drafts.drop(place.id, owner)
        return self.go_on(place.id, known[owner])

    def create(self, name: str, language: Language) -> str:
        """Write a persona from the template; returns its id.

        Raises:
            RensheError: the name cannot be used or is taken, or the disk refuses.
        """
        # A name under which there are versions is one that was deleted, and comes back.
        is_back = is_id(name) and bool(self.desk.versions(name))
        stem = name if is_back else file_stem(name)[:64]
        self.desk.create(stem, new_persona(name, language))
        return stem

    def copy_example(self, stem: str) -> str:
        """Copy a shipped persona into the workshop; returns its id.

        Raises:
            RensheError: there is no such example, its name is taken, or the disk refuses.
        """
        found = {path.stem: path for path in examples()}
        if stem not in found:
            raise RensheError(say(zh="没有这个例子", en="no such example"), code="no-example")
        self.desk.create(stem, found[stem].read_text("utf-8"))
        return stem

    def merged(self, place: Place, side: str, code: str, fields: Fields) -> str:
        """Return the text as the user sees it: with the form's edits, if they are the newer.

        Raises:
            RensheError: something is too long, or the form cannot be written into the text.
        """
        code = received(code)
        if side != "form":
            return code
        values = {name: received(value) for name, value in asdict(fields).items()}
        wanted = changes(sound(code), Fields(**values), place.fact, place.talk)
        return edited(code, wanted)

    def keep_draft(self, place: Place, page: str, text: str) -> bool:
        """Keep an unsaved text as the page's draft; returns whether it is unsaved.

        Raises:
            RensheError: the disk refuses.
        """
        saved = sha256(ended(text).replace("\n", place.newline)) == place.digest
        if saved:
            self.drafts.drop(place.id, page)
        else:
            self.drafts.keep(place.id, page, text, place.digest)
        return not saved

    def is_changed_elsewhere(self, place: Place) -> bool:
        """Tell whether the file is not what was opened."""
        try:
            return self.desk.digest(place.id) != place.digest
        except RensheError:
            return True

    def save(self, place: Place, page: str, text: str, over: str | None = None) -> Place:
        """Save a text; returns the place, opened from what was saved.

        Raises:
            ChangedError: somebody else changed the file.
            RensheError: see :meth:`Desk.save`; the text stays a draft.
        """
        self.keep_draft(place, page, text)
        opened = self.desk.save(place.id, text, place.opened, over=over)
        self.drafts.drop(place.id, page)
        return replace(place, digest=opened.digest)

    def delete(self, place: Place) -> None:
        """Delete a persona, file and drafts; all of it is kept as versions.

        Raises:
            ChangedError: somebody else changed the file.
            RensheError: see :meth:`Desk.delete`.
        """
        drafts = self.drafts.all(place.id)
        for draft in reversed(drafts):  # the youngest version is what the file says
            self.desk.keep_version(place.id, draft.text)
        self.desk.delete(place.id, place.opened)
        for draft in drafts:
            self.drafts.drop(place.id, draft.page)

    def take_theirs(self, place: Place, page: str, mine: str) -> Sheet:
        """Open the file anew and keep ``mine`` as a version."""
        if mine.strip():
            self.desk.keep_version(place.id, ended(mine))
        self.drafts.drop(place.id, page)
        return self.open(place.id, page)


# --- edits that are more than a field -------------------------------------------------------


def with_fact(text: str, name: str = "", ask: Sequence[str] = ()) -> tuple[str, int]:
    """Add a fact at the end; returns the text and the fact's index.

    Raises:
        SourceError: the text is no sound YAML.
    """
    document = sound(text)
    index = len(document.members("facts"))
    fact = new_fact(document, name, tuple(ask))
    # A list that is empty or missing has no lines to add to.
    change = Change(("facts", index), fact) if index else Change(("facts",), [fact])
    return edited(text, [change]), index


def with_dialogues(text: str, talks: Sequence[Sequence[Line]]) -> tuple[str, int]:
    """Add dialogues at the end; returns the text and the index of the first new one.

    Raises:
        SourceError: the text is no sound YAML.
    """
    first = index = len(sound(text).members("dialogues"))
    for talk in talks:
        value = talk_value(list(talk))
        change = Change(("dialogues", index), value) if index else Change(("dialogues",), [value])
        text = edited(text, [change])
        index += 1
    return text, first


def without(text: str, key: str, index: int) -> str:
    """Remove a fact or a dialogue, if it is there.

    Raises:
        SourceError: the text is no sound YAML.
    """
    if sound(text).node(key, index) is None:
        return text
    return edited(text, [Change((key, index), None)])


def received(text: Any) -> str:
    """Return a text that a page sent.

    Raises:
        RensheError: it is too long; then the browser sent only how long.
    """
    text = str(text or "")
    if text.startswith("\0") and text[1:].isdigit():
        raise _too_long(int(text[1:12]))
    return bounded(text)


def _too_long(length: int) -> RensheError:
    return RensheError(
        say(zh=f"有 {length:,} 个字，太长了", en=f"{length:,} characters are too many"),
        fix=say(
            zh="看看是不是贴错了东西；按 Ctrl-Z 撤销粘贴",
            en="see whether the wrong thing was pasted; Ctrl-Z takes it back",
        ),
        code="too-long",
    )


def examples() -> list[Path]:
    """Return the persona files that are shipped with the source; none in a wheel."""
    folder = Path(__file__).parents[3] / "personas"
    return sorted(folder.glob("*.yaml")) if folder.is_dir() else []


def example_names(workshop: Workshop) -> dict[str, str]:
    """Return the shipped personas, ids and names; none where they are the workshop's own."""
    return {
        path.stem: name_of(path)
        for path in examples()
        if path.parent.resolve() != (workshop.root / "personas").resolve()
    }


def at(time: datetime) -> str:
    """Return a time as people here read it."""
    return f"{time.astimezone():%m-%d %H:%M:%S}"

"""What a persona should have said: examples that wait for a person's word.

A correction is made in the heat of a talk, and what it becomes is learnt, so it is looked
at once more before it is written into the persona file, with the rounds that led to it.
"""

from __future__ import annotations

import secrets
import threading
import time
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from bot.harvest import Correction, add_dialogues
from bot.studio.chat.shelf import Shelf
from bot.studio.workshop import Workshop
from trainer.errors import Fault, RensheError, SourceError
from trainer.language import say
from trainer.persona import Persona, read_persona

MOST_ROUNDS = 8
"""Rounds of a history that go into an example; each of their replies is learnt too."""


class Example(BaseModel):
    """A conversation as it should have gone.

    Attributes:
        id: unique.
        persona: name of the persona it is for, as its run has it.
        digest: of that persona.
        history: the rounds before, oldest first: what was said and what was answered.
        user: the last message.
        wrong: what was answered.
        right: what should have been.
        rounds: how many of the latest rounds of ``history`` are to be learnt along.
    """

    model_config = ConfigDict(frozen=True)

    id: str = ""
    persona: str
    digest: str
    history: tuple[tuple[str, str], ...] = ()
    user: str
    wrong: str
    right: str
    rounds: int = MOST_ROUNDS

    @property
    def led(self) -> tuple[tuple[str, str], ...]:
        """The rounds of the history that are to be learnt along."""
        return self.history[max(len(self.history) - self.rounds, 0) :]


class Examples:
    """The examples of a workshop that wait.

    Args:
        workshop: whose personas they are for.
        path: the file they are kept in.

    Attributes:
        told: what happened to a damaged file, if there was one.

    Raises:
        StoreError: the file cannot be opened.
    """

    def __init__(self, workshop: Workshop, path: Path) -> None:
        self._workshop = workshop
        self._shelf = Shelf(path, {"examples": {"id": str, "created": float, "body": str}})
        self._deciding = threading.Lock()
        self.told = self._shelf.told

    def waiting(self) -> list[Example]:
        """Return all, oldest first."""
        with self._shelf.open() as db:
            rows = db.query("SELECT body FROM examples ORDER BY created, rowid")
            return [Example.model_validate_json(row["body"]) for row in rows]

    def propose(self, example: Example) -> Example:
        """Keep an example until it is decided on; returns it with its id.

        Raises:
            RensheError: there is nothing to learn from it.
        """
        _check(example)
        history = example.history[-MOST_ROUNDS:]
        kept = example.model_copy(update={"id": secrets.token_hex(6), "history": history})
        self._write(kept)
        return kept

    def change(self, example: Example) -> None:
        """Keep an example in other words.

        Raises:
            RensheError: it was decided on meanwhile, or there is nothing to learn from it.
        """
        _check(example)
        with self._deciding:
            self._find(example.id)
            self._write(example)

    def drop(self, example: str) -> None:
        """Forget an example that nobody wants."""
        with self._shelf.open() as db:
            db.execute("DELETE FROM examples WHERE id = ?", [example])

    def accept(self, example: Example) -> Path:
        """Write an example, as it is given here, into its persona file; returns the file.

        Raises:
            RensheError: it was decided on meanwhile; or the file is missing or wrong, or
                would be with it. Then the example is kept.
        """
        with self._deciding:
            self._find(example.id)
            path = self._file(example)
            one = Correction(
                key=example.id,
                persona=example.persona,
                user=example.user,
                wrong=example.wrong,
                bot=example.right,
                history=example.led,
            )
            add_dialogues(path, [one])
            self.drop(example.id)
        return path

    def close(self) -> None:
        """Close the file."""
        self._shelf.close()

    def _find(self, id: str) -> None:
        with self._shelf.open() as db:
            if db.execute("SELECT 1 FROM examples WHERE id = ?", [id]).fetchone() is None:
                raise _decided()

    def _write(self, example: Example) -> None:
        with self._shelf.open() as db:
            sql = (
                "INSERT INTO examples (id, created, body) VALUES (?, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET body = excluded.body"
            )
            db.execute(sql, [example.id, time.time(), example.model_dump_json()])

    def _file(self, example: Example) -> Path:
        """Return the file of the persona: the one that was trained, or else of its name."""
        named: list[Path] = []
        unreadable: list[Fault] = []
        for id in self._workshop.personas():
            path = self._workshop.persona_file(id)
            persona, name, faults = _read(path)
            if persona is not None and persona.digest() == example.digest:
                return path
            if name == example.persona:
                if faults:
                    raise _broken(path, faults)
                named.append(path)
            elif name is None:
                unreadable += faults
        if len(named) != 1:
            raise _no_file(example.persona, named, unreadable)
        return named[0]


def _read(path: Path) -> tuple[Persona | None, str | None, list[Fault]]:
    """Return what is in a persona file, and its name also where something else is wrong."""
    try:
        persona, document, faults = read_persona(path)
    except SourceError as error:
        return None, None, list(error.faults)
    node = document.node("name") if document else None
    return persona, node.text if node else None, faults


def _check(example: Example) -> None:
    if not example.right.strip():
        raise RensheError(
            say(zh="写下它应该说什么", en="write what it should have said"), code="empty-example"
        )
    if not example.user.strip():
        raise RensheError(
            say(zh="写下对方说了什么", en="write what was said to it"), code="empty-example"
        )


def _decided() -> RensheError:
    return RensheError(
        say(zh="这个例子已经有人处理了", en="this example was decided on already"),
        fix=say(zh="看看剩下的", en="look at those that are left"),
        code="example-decided",
    )


def _broken(path: Path, faults: list[Fault]) -> SourceError:
    head = Fault(
        say(
            zh="人设文件现在有错，没有写进去；例子还留着",
            en="the persona file is wrong just now; nothing was written, the example is kept",
        ),
        path,
        fix=say(zh="先到「人设」改好下面的错", en="first mend what is below, under Persona"),
        code="example-broken",
    )
    return SourceError(faults=(head, *faults))


def _no_file(name: str, named: list[Path], unreadable: list[Fault]) -> SourceError:
    if named:
        files = ", ".join(path.name for path in named)
        head = Fault(
            say(
                zh=f"有几个人设都叫 {name}：{files}",
                en=f"several personas are called {name}: {files}",
            ),
            fix=say(
                zh="给它们起不同的名字；例子还留着",
                en="give them different names; the example is kept",
            ),
            code="example-two-files",
        )
        return SourceError(faults=(head,))
    head = Fault(
        say(zh=f"没有叫 {name} 的人设文件", en=f"no persona file is called {name}"),
        fix=say(
            zh="到「人设」写一个，或改好读不了的文件；例子还留着",
            en="write it under Persona, or mend what cannot be read; the example is kept",
        ),
        code="example-no-file",
    )
    return SourceError(faults=(head, *unreadable))

"""What the tab Chat works with, and what it does without a page."""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.studio.chat.chats import Chat, Chats, Reply
from bot.studio.chat.examples import Example, Examples
from bot.studio.chat.models import Models
from bot.studio.chat.speakers import Speaker, speaker
from bot.studio.chat.talks import MOST_SPEAKERS, Talks
from bot.studio.chat.view import Column
from bot.studio.visitors import Visitors
from bot.studio.workshop import Workshop
from trainer.errors import Fault, RensheError
from trainer.language import say
from trainer.persona import Persona


@dataclass(frozen=True)
class Waits:
    """A message that waits for its answer.

    Attributes:
        chat: id of its chat.
        round: id of its round.
        keys: who is to answer.
        stopped: nobody is to answer any more.
    """

    chat: str
    round: str
    keys: tuple[str, ...]
    stopped: bool = False


@dataclass
class Shown:
    """What one tab of a browser shows; the one that a reply in it looks at while it grows.

    Attributes:
        chat: id of the chat, or nothing for a new one.
        columns: what each message in it is, a list for each column.
        entered: the browser's latest chat was looked up.
        waits: what was said last, until its answer begins.
    """

    chat: str = ""
    columns: list[Column] = field(default_factory=list)
    entered: bool = False
    waits: Waits | None = None


class ChatDesk:
    """The chats, the models and the examples of a workshop.

    Args:
        workshop: whose they are.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.chats = Chats(workshop.own / "chats.db")
        self.models = Models(workshop)
        self.examples = Examples(workshop, workshop.own / "examples.db")
        self.talks = Talks(self.chats, self.models)
        self.visitors = Visitors()

    def told(self) -> list[Fault]:
        """Return what happened to damaged files."""
        return [told for told in (self.chats.told, self.examples.told) if told]

    def choices(self, chat: Chat) -> list[tuple[str, str]]:
        """Return label and key of all speakers, those of ``chat`` included that are gone."""
        known = self.models.speakers()
        gone = [one for one in map(_speaker, chat.speakers) if one and one not in known]
        return [(self.models.label(one), one.key) for one in [*known, *gone]]

    def first_speakers(self) -> list[str]:
        """Return who answers in a first chat: the youngest run."""
        return [Speaker("tuned", run).key for run in self.workshop.runs()[:1]]

    def label(self, key: str) -> str:
        """Return what a person calls a speaker."""
        who = _speaker(key)
        return self.models.label(who) if who else key

    def name(self, key: str) -> str:
        """Return the name of whom a speaker speaks as."""
        persona = self.persona(key)
        return persona.name if persona else self.label(key)

    def persona(self, key: str) -> Persona | None:
        """Return the persona of a speaker, if its run can be read."""
        try:
            return self.models.checkpoint(speaker(key).run).card.persona
        except RensheError:
            return None

    def checked(self, keys: list[str]) -> list[str]:
        """Return who is chosen.

        Raises:
            RensheError: nobody, or too many, or no speaker.
        """
        if not keys:
            raise RensheError(
                say(zh="先选一个说话人", en="choose who answers first"), code="no-speaker"
            )
        if len(keys) > MOST_SPEAKERS:
            raise RensheError(
                say(
                    zh=f"最多 {MOST_SPEAKERS} 个说话人一起聊",
                    en=f"at most {MOST_SPEAKERS} answer side by side",
                ),
                code="many-speakers",
            )
        return [speaker(key).key for key in keys]

    def put_right(self, secret: str, chat: Chat, at: str, key: str, right: str) -> Chat:
        """Let a reply be what it should have been, and propose it as an example.

        Raises:
            RensheError: there is nothing in it, or the run is gone, whose persona would learn.
        """
        persona = self.models.checkpoint(speaker(key).run).card.persona
        one = chat.round(at)
        said = chat.history(key, at)
        rounds = zip(said[::2], said[1::2], strict=True)
        example = Example(
            persona=persona.name,
            digest=persona.digest(),
            history=tuple((asked.text, answered.text) for asked, answered in rounds),
            user=one.user,
            wrong=one.replies.get(key, Reply()).text,
            right=right.strip(),
        )
        self.examples.propose(example)
        return self.chats.put_right(secret, chat.id, at, key, right.strip())


def _speaker(key: str) -> Speaker | None:
    try:
        return speaker(key)
    except RensheError:
        return None

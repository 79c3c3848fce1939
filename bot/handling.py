"""One message being dealt with: what it asks, and what becomes of it, until that is written.

Plugins see it as :class:`bot.plugin.Session`. Nothing is changed before all of it is: a kill
half-way leaves the message unanswered and the history as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bot.cast import Player
from bot.event import Event, Outgoing, Reply, SessionKey
from bot.store import Accepted, Answer, Store
from bot.turns import Round
from trainer.persona import Persona


@dataclass
class Handling:
    """Events that are answered together.

    Attributes:
        events: in the order of their arrival.
        player: who answers.
        store: where the history is.
        replies: what will be said.
        question: what the persona has still to answer.
        said: the round that came of it.
        undone: the round that is taken back.
        is_reset: the history begins anew.
        switched: the persona that the chat now has.
    """

    events: Sequence[Accepted]
    player: Player
    store: Store
    replies: list[Reply] = field(default_factory=list)
    question: str | None = None
    said: tuple[str, str] | None = None
    undone: Round | None = None
    is_reset: bool = False
    switched: str | None = None

    @cached_property
    def event(self) -> Event:
        """The events as one: the last one, with the text of them all."""
        *others, last = (accepted.event for accepted in self.events)
        if not others:
            return last
        texts = [event.text for event in (*others, last)]
        return replace(last, text="\n".join(filter(None, texts)))

    @property
    def shown(self) -> Outgoing | None:
        """The message that shows part of the reply since before the bot was started."""
        return next((accepted.shown for accepted in self.events if accepted.shown), None)

    @cached_property
    def message(self) -> Outgoing:
        """An empty message to the chat that is answered, which may have moved since."""
        chat = self.event.chat
        if chat.id != self.key.chat:
            chat = replace(chat, id=self.key.chat)
        return Outgoing("", self.event.account, chat, "")

    @property
    def key(self) -> SessionKey:
        return self.events[-1].session

    @property
    def persona_name(self) -> str:
        return self.player.name

    @property
    def persona(self) -> Persona:
        return self.player.persona

    async def history(self, rounds: int = 1) -> list[Round]:
        if self.is_reset or not rounds:
            return []
        found = await self.store.history(self.key, rounds + 1)
        return [one for one in found if one != self.undone][-rounds:]

    def reset(self) -> None:
        self.is_reset = True

    def undo(self, round: Round) -> None:
        self.undone = round

    def ask(self, question: str) -> None:
        self.question = question

    def switch(self, persona_name: str) -> None:
        self.switched = persona_name
        self.is_reset = True

    def say(self, result: object) -> bool:
        """Take what a plugin returned; whether it was anything to say."""
        if isinstance(result, str):
            result = Reply(result)
        if isinstance(result, list | tuple):
            return sum(self.say(part) for part in result) > 0
        if not isinstance(result, Reply):
            return False
        self.replies.append(result)
        return True

    def answer(self, messages: Sequence[Outgoing]) -> Answer:
        """Return all of it as the store takes it."""
        return Answer(
            events=self.events,
            round=self.said,
            undone=self.undone.id if self.undone else None,
            reset=self.is_reset,
            persona=self.switched,
            messages=messages,
        )

    def forget_changes(self) -> None:
        """Drop what was begun before something failed: a retry without an answer undoes nothing."""
        self.undone, self.is_reset, self.switched, self.question = None, False, None, None

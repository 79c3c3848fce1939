"""The door for plugins: everything a plugin imports is here.

A plugin is one file. Its docstring's first line says what it does; each of its functions
that is marked with a decorator below is called when its time comes. A function asks for what
it needs by annotating its parameters with the types of this module, in any order; what it
returns is said. Nothing is registered anywhere: the marks stay on the functions, and the
loader reads them.

``plugins/README.md`` teaches a plugin and its test in ten lines each.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NewType, Protocol, TypeVar

from bot.errors import PluginError
from bot.event import Event, Outcome, Outgoing, Reply, SessionKey
from bot.store import Store
from bot.strict import Strict
from bot.turns import Round
from trainer.persona import Persona

__all__ = [
    "Arguments",
    "Bot",
    "Event",
    "Outcome",
    "Outgoing",
    "PluginError",
    "Problem",
    "Prompt",
    "Reply",
    "Said",
    "Session",
    "SessionKey",
    "Settings",
    "Storage",
    "after_reply",
    "after_sent",
    "before_prompt",
    "before_send",
    "daily",
    "every",
    "on_command",
    "on_error",
    "on_message",
]

Permission = Literal["owner", "admin", "member"]
Kind = Literal[
    "command",
    "message",
    "before_prompt",
    "after_reply",
    "before_send",
    "after_sent",
    "on_error",
    "every",
    "daily",
]
Function = TypeVar("Function", bound=Callable[..., Any])

MARK = "__renshe_marks__"
"""The attribute in which a function carries its marks."""


# --- what a function may ask for --------------------------------------------------------------

Arguments = NewType("Arguments", str)
"""What stands after a command's name."""


class Settings(Strict):
    """Base of a plugin's settings, which stand in ``renshe.yaml`` under its name.

    A plugin has at most one subclass; asked for, it is handed in filled.
    """


@dataclass
class Prompt:
    """What the model will see; a ``before_prompt`` hook may change it.

    Attributes:
        question: what was said.
        history: the rounds before it.
        notes: what the model should know now; it is told as having been said just before.
    """

    question: str
    history: list[Round]
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Said:
    """A reply of the model's; an ``after_reply`` hook may return another text.

    Attributes:
        question: what was said to it.
        text: what it says.
    """

    question: str
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something failed; for ``on_error``.

    Attributes:
        where: ``engine``, or the name of a plugin.
        error: what it raised.
    """

    where: str
    error: BaseException


class Session(Protocol):
    """The conversation that an event belongs to."""

    @property
    def key(self) -> SessionKey:
        """Who shares it."""

    @property
    def persona_name(self) -> str:
        """The name of the persona in ``renshe.yaml``."""

    @property
    def persona(self) -> Persona:
        """Who answers in it."""

    async def history(self, rounds: int = 1) -> list[Round]:
        """Return the latest rounds, oldest first."""

    def reset(self) -> None:
        """Begin anew; what was said stays in the store."""

    def undo(self, round: Round) -> None:
        """Take a round back; it stays in the store."""

    def ask(self, question: str) -> None:
        """Have the persona answer ``question`` after this."""

    def switch(self, persona_name: str) -> None:
        """Give the chat another persona, and begin anew."""


@dataclass(frozen=True)
class Storage:
    """What a plugin keeps; JSON values under keys, in scopes of its own choosing.

    What one chat told must not reach another: use the session's key as the scope of it.
    """

    store: Store
    plugin: str

    async def get(self, key: str, scope: str = "") -> Any:
        """Return a value; None if there is none."""
        text = await self.store.get(self.plugin, scope, key)
        return None if text is None else json.loads(text)

    async def items(self, scope: str = "") -> dict[str, Any]:
        """Return every value of a scope by its key, sorted by key."""
        found = await self.store.items(self.plugin, scope)
        return {key: json.loads(text) for key, text in found.items()}

    async def put(self, key: str, value: Any, scope: str = "") -> None:
        """Keep a value."""
        text = json.dumps(value, ensure_ascii=False)
        await self.store.put(self.plugin, scope, key, text)

    async def forget(self, key: str, scope: str = "") -> None:
        """Forget a value; there may be none."""
        await self.store.put(self.plugin, scope, key, None)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that there is, as ``help`` lists it."""

    name: str
    aliases: tuple[str, ...]
    about: str
    permission: Permission
    plugin: str


class Bot(Protocol):
    """The running bot."""

    @property
    def commands(self) -> Sequence[Command]:
        """Every command, by plugin and name."""

    @property
    def prefix(self) -> str:
        """What a command begins with."""

    @property
    def personas(self) -> Mapping[str, Persona]:
        """Every persona by its name in ``renshe.yaml``; the first is the default."""

    def allows(self, event: Event, permission: Permission) -> bool:
        """Tell whether who sent ``event`` has a permission in its chat."""

    async def status(self) -> Mapping[str, str]:
        """Return how the bot is: links, plugins, queues; a line each."""

    async def send(self, session: SessionKey, text: str) -> None:
        """Say something unasked, after all that the session has to do.

        Raises:
            PluginError: the bot was never in that chat.
            StoreError: it could not be written down.
        """


# --- marks ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """When a function is to be called.

    Attributes:
        kind: at what.
        names: of a command: its name, then its aliases.
        about: of a command: what it does, for ``help``.
        permission: of a command: who may.
        interrupts: of a command: the reply that is being thought up is given up first.
        priority: of messages and hooks: a smaller one comes first.
        block: of messages: if it returns anything, nothing else answers.
        unmeant: of messages: those that are not meant for the bot, too.
        seconds: of ``every``.
        at: of ``daily``: hour and minute.
    """

    kind: Kind
    names: tuple[str, ...] = ()
    about: str = ""
    permission: Permission = "member"
    interrupts: bool = False
    priority: int = 0
    block: bool = False
    unmeant: bool = False
    seconds: float = 0.0
    at: tuple[int, int] = (0, 0)


def on_command(
    name: str,
    *aliases: str,
    about: str = "",
    permission: Permission = "member",
    interrupts: bool = False,
) -> Callable[[Function], Function]:
    """Call it when somebody sends the command ``name``.

    Args:
        name: without the prefix.
        aliases: other names.
        about: what it does, for ``help``; without it ``help`` does not list it.
        permission: who may: an owner of the bot, an admin of the chat, anyone. In a
            private chat whoever is there counts as its admin.
        interrupts: give up the reply that is being thought up, instead of waiting for it.
    """
    return _marked(
        Mark("command", (name, *aliases), about, permission=permission, interrupts=interrupts)
    )


def on_message(
    *, priority: int = 0, block: bool = False, unmeant: bool = False
) -> Callable[[Function], Function]:
    """Call it for each message that is no command, before the persona answers.

    Args:
        priority: a smaller one comes first.
        block: if it returns anything, neither later plugins nor the persona answer.
        unmeant: call it for messages that are not meant for the bot, too.
    """
    return _marked(Mark("message", priority=priority, block=block, unmeant=unmeant))


def before_prompt(function: Function) -> Function:
    """Call it with the :class:`Prompt` before the model sees it; it may change it."""
    return _marked(Mark("before_prompt"))(function)


def after_reply(function: Function) -> Function:
    """Call it with what the model :class:`Said`; it may return another text."""
    return _marked(Mark("after_reply"))(function)


def before_send(function: Function) -> Function:
    """Call it with each :class:`Reply` before it is written down; it may return another."""
    return _marked(Mark("before_send"))(function)


def after_sent(function: Function) -> Function:
    """Call it with each :class:`Outgoing` message and its ``Outcome``."""
    return _marked(Mark("after_sent"))(function)


def on_error(function: Function) -> Function:
    """Call it with each :class:`Problem`."""
    return _marked(Mark("on_error"))(function)


def every(seconds: float) -> Callable[[Function], Function]:
    """Call it again and again, ``seconds`` after it returned."""
    if seconds <= 0:
        raise ValueError(f"every({seconds}): the seconds must be more than 0")
    return _marked(Mark("every", seconds=seconds))


def daily(time: str) -> Callable[[Function], Function]:
    """Call it each day at ``time``, written ``HH:MM``, by the machine's clock."""
    hour, _, minute = time.partition(":")
    if not (hour.isdecimal() and minute.isdecimal() and int(hour) < 24 and int(minute) < 60):
        raise ValueError(f"daily({time!r}): write the time as HH:MM")
    return _marked(Mark("daily", at=(int(hour), int(minute))))


def _marked(mark: Mark) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        setattr(function, MARK, (*getattr(function, MARK, ()), mark))
        return function

    return decorate

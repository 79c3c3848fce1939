"""From a message to its reply: commands, plugins, the persona, the outbox, the platform.

In this order, for each message of a session:

1. a command is answered by its plugin; it may have the persona answer after it;
2. other messages are shown to the plugins that listen, by priority, until one blocks;
3. what is meant for the bot and was not blocked, the persona answers;
4. all that came of it is written in one transaction (:meth:`bot.store.Store.settle`);
5. what is in the outbox now is sent.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial

from bot.cast import Cast
from bot.config import BotConfig
from bot.delivery import NOT_WRITTEN, Delivery
from bot.engine.pool import EnginePool, Interrupted, Thought
from bot.errors import StoreError
from bot.event import Event, Outgoing, Reply, SessionKey
from bot.growing import Growing
from bot.handling import Handling
from bot.logs import correlated, places, worded
from bot.metrics import Metrics
from bot.plugin import Arguments, Permission, Problem, Prompt, Said, Session
from bot.plugin_host import PluginHost
from bot.plugin_loader import Handler
from bot.store import Accepted, Store
from bot.text import well_formed
from bot.triggers import is_meant
from bot.turns import messages_of
from trainer.chat import Message
from trainer.errors import RensheError
from trainer.language import say

log = logging.getLogger(__name__)

TYPING = 4.0
"""Seconds between two signs of typing; Telegram shows one for five."""

Allows = Callable[[Event, Permission], bool]


class Pipeline:
    """Answers the events of one session after the other; for all sessions at once.

    Args:
        config: what counts as meant for the bot, and how much history is read.
        store, cast, plugins, pool, delivery, metrics: what it works with.
        allows: who may do what.
    """

    def __init__(
        self,
        config: BotConfig,
        store: Store,
        cast: Cast,
        plugins: PluginHost,
        pool: EnginePool,
        delivery: Delivery,
        metrics: Metrics,
        allows: Allows,
    ) -> None:
        self._config = config
        self._store = store
        self._cast = cast
        self._plugins = plugins
        self._pool = pool
        self._delivery = delivery
        self._metrics = metrics
        self._allows = allows
        self._thoughts: dict[SessionKey, Thought] = {}

    # --- what the runtime asks ----------------------------------------------------------------

    def configure(self, config: BotConfig) -> None:
        """Take other triggers; what is being answered goes on as it began."""
        self._config = config

    def is_meant(self, event: Event, session: SessionKey) -> bool:
        """Tell whether an event is meant for the bot."""
        persona = self._cast.of(session).persona
        return is_meant(self._config.triggers, event, persona, self.is_command)

    def is_command(self, text: str) -> bool:
        """Tell whether a text is a command that there is."""
        return self._plugins.command(text, self._config.triggers.prefix) is not None

    def interrupts(self, event: Event) -> bool:
        """Tell whether an event is a command, allowed, that does not wait for a reply."""
        found = self._plugins.command(event.text, self._config.triggers.prefix)
        if found is None or not found[0].mark.interrupts:
            return False
        return self._allows(event, found[0].mark.permission)

    def interrupt(self, session: SessionKey) -> None:
        """Give up the reply that is being thought up in a session, if one is."""
        if thought := self._thoughts.get(session):
            thought.interrupt()

    async def answer(self, events: Sequence[Accepted]) -> None:
        """Answer events that belong together; returns when the reply is sent."""
        with correlated(events[-1].id):
            handling = Handling(events, self._cast.of(events[-1].session), self._store)
            await self._listen(handling)
            shown = handling.shown
            if handling.question is not None:
                shown = await self._think(handling)
            await self._settle(handling, shown)

    async def refuse(self, accepted: Accepted) -> None:
        """Settle an event that is beyond a limit, with a word in the persona's voice."""
        with correlated(accepted.id):
            player = self._cast.of(accepted.session)
            handling = Handling([accepted], player, self._store)
            handling.replies.append(Reply(player.refusal()))
            await self._settle(handling, None)
            await self._store.mark([accepted], "refused")

    # --- commands and plugins -----------------------------------------------------------------

    async def _listen(self, handling: Handling) -> None:
        event = handling.event
        prefix = self._config.triggers.prefix
        if found := self._plugins.command(event.text, prefix):
            await self._command(handling, event, *found)
            return
        meant = self.is_meant(event, handling.key)
        if meant and (hint := self._unknown_command(event, prefix)):
            handling.say(hint)
            return
        if not await self._blocked(handling, event, meant) and meant:
            # Who only mentions it calls it by its name.
            handling.question = event.text or handling.persona.name

    async def _command(
        self, handling: Handling, event: Event, handler: Handler, arguments: Arguments
    ) -> None:
        if not self._allows(event, handler.mark.permission):
            handling.say(_not_allowed(handler.mark.permission))
            return
        offered = {Event: event, Session: handling, Arguments: arguments}
        result = await self._plugins.call(handler, offered)
        if isinstance(result, Problem):
            handling.forget_changes()
            result = say(
                zh="这个命令出错了，已经记下来了。", en="That command failed; it was noted."
            )
        handling.say(result)

    def _unknown_command(self, event: Event, prefix: str) -> str:
        """Return what to say to a command that there is not; nothing if it is none."""
        word = re.match(rf"{re.escape(prefix)}(\w+)", event.text)
        if word is None:
            return ""
        near = self._plugins.nearest(
            word[1], lambda mark: bool(mark.about) and self._allows(event, mark.permission)
        )
        hint = near or "help"
        return say(
            zh=f"没有 {word[0]} 这个命令，试试 {prefix}{hint}",
            en=f"There is no command {word[0]}. Try {prefix}{hint}",
        )

    async def _blocked(self, handling: Handling, event: Event, meant: bool) -> bool:
        for handler in self._plugins.handlers("message"):
            if meant or handler.mark.unmeant:
                result = await self._plugins.call(handler, {Event: event, Session: handling})
                if handling.say(result) and handler.mark.block:
                    return True
        return False

    # --- the persona --------------------------------------------------------------------------

    async def _think(self, handling: Handling) -> Outgoing | None:
        """Have the persona answer; returns the message that shows the reply already, if any."""
        growing = Growing(self._store, self._delivery, handling, self._may_show)
        typing = self._typing(handling)
        try:
            prompt = await self._prompt(handling)
            text = await self._reply(handling, prompt, growing)
        except Interrupted:
            log.info("the reply was given up on demand")
            handling.forget_changes()
            handling.replies += [Reply(growing.seen)] if growing.seen else []
            return growing.message
        except Exception as error:  # an engine may raise anything; the chat gets an excuse
            await self._note(error)
            handling.forget_changes()
            handling.replies.append(self._worded(handling, handling.player.excuse()))
            return growing.message
        finally:
            if typing is not None:
                typing.cancel()
        if not text:
            handling.forget_changes()
            handling.replies.append(self._worded(handling, handling.player.excuse()))
            return growing.message
        said = Said(prompt.question, text)
        offered = {Event: handling.event, Session: handling}
        for handler in self._plugins.handlers("after_reply"):
            changed = await self._plugins.call(handler, {**offered, Said: said})
            if isinstance(changed, str) and changed.strip():
                said = replace(said, text=well_formed(changed).strip())
        handling.said = (handling.question or "", said.text)
        handling.replies.append(self._worded(handling, said.text))
        return growing.message

    @property
    def _may_show(self) -> bool:
        """Whether a reply may be shown while it grows: not if a plugin has to see it before."""
        hooks = (*self._plugins.handlers("after_reply"), *self._plugins.handlers("before_send"))
        return self._config.delivery.stream and not hooks

    async def _prompt(self, handling: Handling) -> Prompt:
        rounds = min(self._config.sessions.rounds, handling.player.engine.rounds)
        history = await handling.history(rounds)
        prompt = Prompt(handling.question or "", history)
        offered = {Event: handling.event, Session: handling, Prompt: prompt}
        await self._plugins.tell("before_prompt", offered)
        return prompt

    async def _reply(self, handling: Handling, prompt: Prompt, growing: Growing) -> str:
        messages = messages_of(prompt.history)
        if prompt.notes:
            messages += _noted(prompt.notes, handling.persona.language)
        messages.append(Message("user", prompt.question))
        thought = self._pool.answer(handling.player.engine, messages)
        self._thoughts[handling.key] = thought
        text = ""
        try:
            with self._metrics.thinking.time():
                async for text in thought.stream():
                    growing.show(text)
        finally:
            del self._thoughts[handling.key]
            await growing.end()
        return well_formed(text).strip()  # a server may have cut an emoji in two

    async def _note(self, error: Exception) -> None:
        self._metrics.engine_errors.inc()
        where = "" if isinstance(error, RensheError) else f"\n{places(error)}"
        log.error("the engine failed: %s%s", worded(error), where)
        log.debug("the engine failed: %s", error)
        await self._plugins.tell("on_error", {Problem: Problem("engine", error)})

    def _worded(self, handling: Handling, text: str) -> Reply:
        """Quote the question where others talk too."""
        return Reply(text, quote=handling.event.chat.kind == "group")

    def _typing(self, handling: Handling) -> asyncio.Task[None] | None:
        """Show that somebody is typing until it is cancelled, where that can be shown."""
        account, chat = handling.event.account, handling.message.chat
        adapter = self._delivery.adapter(account)
        if adapter is None or not adapter.capabilities.can_type:
            return None

        async def show() -> None:
            while True:
                await adapter.show_typing(account, chat)
                await asyncio.sleep(TYPING)

        return asyncio.create_task(show())

    # --- out ----------------------------------------------------------------------------------

    async def _settle(self, handling: Handling, shown: Outgoing | None) -> None:
        """Write all that came of it, then send."""
        replies = [
            await self._plugins.change("before_send", reply, {}, Reply)
            for reply in handling.replies
        ]
        event = handling.event
        to = (event.message_id, event.sender.id)
        messages = self._delivery.messages(handling.message, replies, to=to)
        answer = handling.answer(messages)
        if shown is not None:
            noted, write = False, partial(self._store.finish, answer, shown)
        else:
            # What can be sent now is noted so here, which spares it a commit of its own.
            noted = self._delivery.adapter(event.account) is not None
            write = partial(self._store.settle, answer, sending=noted)
        try:
            unsent = await _written(write)
        except asyncio.CancelledError:  # the bot stops, perhaps in the middle of the commit
            self._store.unsend(handling.events)
            raise
        if handling.switched is not None:
            self._cast.choose(handling.key, handling.switched)
        await self._delivery.deliver(unsent, noted=noted)


async def _written(write: Callable[[], Awaitable[list[Outgoing]]]) -> list[Outgoing]:
    """Write what came of a message, again while the database cannot be written.

    A full disk is emptied while the bot runs, and the reply is there already. A bot that is
    stopped meanwhile answers after its next start.
    """
    while True:
        try:
            return await write()
        except StoreError as error:
            log.error("the reply waits: %s", error)
            await asyncio.sleep(NOT_WRITTEN)


def _noted(notes: Sequence[str], language: str) -> list[Message]:
    """Return notes as a round of talk: a tuned persona was trained on talk and nothing else."""
    if language == "zh":
        return [Message("user", f"记住：{'；'.join(notes)}"), Message("assistant", "嗯，记住了。")]
    return [Message("user", f"Remember: {'; '.join(notes)}"), Message("assistant", "I will.")]


def _not_allowed(permission: Permission) -> str:
    if permission == "owner":
        return say(
            zh="这个命令只有机器人的主人能用。", en="Only the bot's owner may use that command."
        )
    return say(zh="这个命令只有管理员能用。", en="Only an admin may use that command.")

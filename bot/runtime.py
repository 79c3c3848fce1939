"""One running bot: puts the parts together, takes events in, and ends in good order.

It is the :class:`bot.adapter.Inlet` of every adapter and the :class:`bot.plugin.Bot` of every
plugin.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from bot.adapter import Adapter
from bot.adapters import make_adapter
from bot.cast import Cast, Player, load_players
from bot.config import BotConfig
from bot.delivery import Delivery
from bot.engine import Engine
from bot.engine.pool import EnginePool
from bot.errors import PluginError
from bot.event import Account, Chat, Event, Outcome, Outgoing, Reply, SessionKey
from bot.limits import RateLimit
from bot.metrics import Metrics
from bot.pipeline import Pipeline
from bot.plugin import Command, Permission
from bot.plugin_host import PluginHost
from bot.plugin_loader import find_plugins
from bot.plugin_set import Find
from bot.session import Sessions
from bot.store import Accepted, Store
from bot.supervision import receive_all
from bot.text import well_formed
from bot.triggers import is_welcome, talks_in
from bot.watchdog import Watchdog
from trainer.errors import Fault
from trainer.persona import Persona
from trainer.strict_yaml import Document

log = logging.getLogger(__name__)

Load = Callable[[BotConfig, Mapping[str, Player]], Mapping[str, Player]]

RESTART = ("store", "adapters", "limits", "sessions", "delivery", "operation")
"""Settings that count from the next start."""


class Runtime:
    """A bot, made but not yet started.

    Args:
        config: what it is to be.
        document: the tree of ``renshe.yaml``, for the places of wrong plugin settings.
        store: its memory; closed at the end.
        players: who answers.
        adapters: where it is; by default those of ``config``.
        find: finds its plugins; by default wherever there are any.
        load: loads other players when it is reloaded, given those of before.

    Attributes:
        faults: what is wrong with plugins that could not be loaded.
    """

    def __init__(
        self,
        config: BotConfig,
        document: Document | None,
        store: Store,
        players: Mapping[str, Player],
        adapters: Callable[[Runtime], Sequence[Adapter]] | None = None,
        find: Find = find_plugins,
        load: Load = load_players,
    ) -> None:
        self.config = config
        self.metrics = Metrics()
        self.store = store
        self._cast = Cast(players)
        self._load = load
        self._limit = RateLimit(config.limits)
        self._pool = EnginePool(config.limits.replies, config.limits.deadline)
        failed = self.metrics.plugin_failures
        self.plugins = PluginHost(
            config.plugins, document, store, self, lambda name: failed.labels(name).inc(), find
        )
        made = adapters or (lambda own: [make_adapter(*one, own) for one in config.adapters.each()])
        self.adapters = made(self)
        self._delivery = Delivery(self.adapters, store, config.delivery, self.metrics, self._told)
        self._pipeline = Pipeline(
            config,
            store,
            self._cast,
            self.plugins,
            self._pool,
            self._delivery,
            self.metrics,
            self.allows,
        )
        self._sessions = Sessions(
            self._answer,
            self._belong_together,
            debounce=config.sessions.debounce,
            limit=config.sessions.queue,
        )
        self.metrics.watch_sessions(lambda: len(self._sessions))
        self.faults: list[Fault] = []
        self._retired: list[Engine] = []
        self._reloading = asyncio.Lock()
        self._stopping = asyncio.Event()

    # --- life ---------------------------------------------------------------------------------

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Run until :meth:`stop`, or until no adapter has anything to receive any more.

        Args:
            ready: called once everything is started.

        Raises:
            AdapterError: a platform refuses the bot, or a socket cannot be opened.
            StoreError: the database cannot be used.
        """
        drain = 0.0
        watchdog = Watchdog(lambda: self.plugins.files)
        try:
            async with self._reloading:  # a SIGHUP that comes early waits
                await self._start()
            ready()
            drain = self.config.operation.drain
            await receive_all(self.adapters, self._stopping)
        finally:
            watchdog.close()
            await self._end(drain)

    async def idle(self) -> None:
        """Wait until everything that came in is dealt with."""
        await self._sessions.idle()

    def stop(self) -> None:
        """Receive nothing more, say what is being said, and end."""
        self._stopping.set()

    async def _start(self) -> None:
        """Take up what an earlier run left before anything new can come in."""
        self._tell_faults(await self.plugins.load())
        self._cast.remember(await self.store.personas())
        for session, message in await self.store.unsent():
            self._sessions.put(session, self._delivering([message]))
        for accepted in await self.store.waiting():
            self._sessions.put(accepted.session, accepted)
        for adapter in self.adapters:
            await adapter.start()
        self.plugins.start()

    async def _end(self, drain: float) -> None:
        whole = await self._sessions.drain(drain)
        if not whole:
            log.warning("some replies were not ready; they are taken up at the next start")
        await self.plugins.close()
        self._pool.close()
        self._cast.stop()
        for engine in self._retired:
            engine.stop()
        for adapter in self.adapters:
            await adapter.close()
        self.store.close()

    # --- reloading ----------------------------------------------------------------------------

    async def reload(self, config: BotConfig, document: Document | None) -> None:
        """Take other personas, plugins, triggers, chats and owners while running.

        A plugin that is wrong now runs on as it was, if it did; see :attr:`faults`.

        Raises:
            RensheError: a persona cannot be loaded; then nothing was changed.
        """
        async with self._reloading:  # two in a hurry must not mix
            players = await asyncio.to_thread(self._load, config, self._cast.players)
            self._retire(self._cast.replace(players))
            for name in RESTART:
                if getattr(config, name) != getattr(self.config, name):
                    log.warning("%s: the change counts from the next start", name)
            kept = {name: getattr(self.config, name) for name in RESTART}
            self.config = config.model_copy(update=kept)
            self._pipeline.configure(self.config)
            self._tell_faults(await self.plugins.reload(config.plugins, document))

    def _retire(self, engines: Sequence[Engine]) -> None:
        """Stop engines once no reply of theirs can be under way any more."""
        loop = asyncio.get_running_loop()

        def stop(engine: Engine) -> None:
            engine.stop()
            self._retired.remove(engine)  # a model is large

        for engine in engines:
            self._retired.append(engine)
            loop.call_later(self.config.limits.deadline, stop, engine)

    # --- the adapters' inlet ------------------------------------------------------------------

    async def receive(self, event: Event) -> bool:
        """See :meth:`bot.adapter.Inlet.receive`; what is not meant for the bot leaves no trace."""
        event = _well_formed(event)
        session = SessionKey.of(event, per_user=self.config.sessions.scope == "user")
        if not talks_in(self.config.chats, event):
            return True
        meant = self._pipeline.is_meant(event, session)
        if not meant and not (self.plugins.listens_to_all and event.text):
            return True
        accepted = await self.store.accept(event, session)
        if accepted is None:
            self.metrics.duplicates.inc()
            return False
        self.metrics.received.labels(event.account.platform).inc()
        if not self._stopping.is_set():  # else it is taken up at the next start
            await self._admit(accepted, meant)
        return True

    async def move_chat(self, account: Account, old: str, new: str) -> None:
        """See :meth:`bot.adapter.Inlet.move_chat`; once more for what is being answered now."""
        before = SessionKey(account.platform, account.self_id, old)
        await self.store.move_chat(account, old, new)
        self._cast.move(before, replace(before, chat=new))
        for key in self._sessions.busy():
            if key.whole_chat == before:
                self._sessions.put(key, lambda: self.store.move_chat(account, old, new))

    async def _admit(self, accepted: Accepted, meant: bool) -> None:
        """Have an event answered, or refused where it is too much."""
        session, user = accepted.session, accepted.event.user
        verdict = self._limit.ask(user) if meant else "welcome"
        given_up: list[Accepted] = []
        if verdict == "welcome" and self._pipeline.interrupts(accepted.event):
            given_up = self._interrupt(session)
        elif self._sessions.is_full(session):
            verdict = self._limit.refuse(user) if meant else "silent"
        if verdict == "welcome":
            self._sessions.put(session, accepted)  # at once, lest a later one comes before it
            if given_up:
                await self.store.mark(given_up, "done")
            return
        self.metrics.refused.inc()
        if verdict == "tell":
            log.warning("%s asks too much in %s", user, session)
            self._sessions.put(session, lambda: self._pipeline.refuse(accepted))
        else:
            await self.store.mark([accepted], "refused")

    def _interrupt(self, session: SessionKey) -> list[Accepted]:
        """Give up the reply that is under way; returns the questions that waited behind it."""
        self._pipeline.interrupt(session)
        is_command = self._pipeline.is_command
        return self._sessions.withdraw(session, lambda one: not is_command(one.event.text))

    # --- the plugins' bot ---------------------------------------------------------------------

    @property
    def commands(self) -> Sequence[Command]:
        return self.plugins.commands

    @property
    def prefix(self) -> str:
        return self.config.triggers.prefix

    @property
    def personas(self) -> Mapping[str, Persona]:
        return self._cast.personas

    def allows(self, event: Event, permission: Permission) -> bool:
        if permission == "member" or event.user in self.config.owners:
            return True
        is_admin = event.chat.kind == "private" or event.sender.role in ("owner", "admin")
        return permission == "admin" and is_admin

    async def status(self) -> Mapping[str, str]:
        links = [link for adapter in self.adapters for link in adapter.links]
        lines = {link.name: "ok" if link.up else link.detail or "-" for link in links}
        lines |= {name: why for name, why in self.plugins.states.items() if why}
        counts = await self.store.counts()
        return {**lines, **{name: str(number) for name, number in counts.items()}}

    async def send(self, session: SessionKey, text: str) -> None:
        account = Account(session.platform, session.self_id)
        kind = await self.store.chat_kind(session)
        if kind is None:
            raise PluginError(f"the bot was never in {session}", code="no-chat")
        chat = Chat(session.chat, kind, session.thread)
        if not is_welcome(self.config.chats, f"{session.platform}:{session.chat}"):
            raise PluginError(f"`chats` leaves {session} out", code="left-out")
        reply = await self.plugins.change("before_send", Reply(text), {}, Reply)
        messages = self._delivery.messages(Outgoing("", account, chat, ""), [reply])

        async def put() -> None:
            unsent = await self.store.enqueue(session, messages)
            self._sessions.put(session, self._delivering(unsent))

        # Whole, though the plugin that asks for it be ended: what is written is sent as well.
        await asyncio.shield(asyncio.ensure_future(put()))

    # ------------------------------------------------------------------------------------------

    async def _answer(self, events: list[Accepted]) -> None:
        await self._pipeline.answer(events)

    def _belong_together(self, first: Accepted, more: Accepted) -> bool:
        """Tell whether ``more`` goes on with what ``first`` began; commands stand alone."""
        is_command = self._pipeline.is_command
        texts = (first.event.text, more.event.text)
        return first.event.user == more.event.user and not any(map(is_command, texts))

    def _delivering(self, messages: Sequence[Outgoing]) -> Callable[[], asyncio.Future[None]]:
        return lambda: asyncio.ensure_future(self._delivery.deliver(messages))

    async def _told(self, message: Outgoing, outcome: Outcome) -> None:
        await self.plugins.tell("after_sent", {Outgoing: message, Outcome: outcome})

    def _tell_faults(self, faults: list[Fault]) -> None:
        self.faults = faults
        for fault in faults:
            log.error("%s", fault)


def _well_formed(event: Event) -> Event:
    """Return the event in text that can be stored; frames from anywhere may hold other."""
    try:
        "".join((event.text, event.message_id, event.sender.name, *event.dedupe_key)).encode()
    except UnicodeEncodeError:
        return replace(
            event,
            text=well_formed(event.text),
            message_id=well_formed(event.message_id),
            sender=replace(event.sender, name=well_formed(event.sender.name)),
            chat=replace(event.chat, id=well_formed(event.chat.id)),
        )
    return event

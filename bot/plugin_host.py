"""Runs plugins, and keeps their failures to themselves.

A plugin that raises or hangs is named in the log, and after several failures in a row it is
disabled: its timers end and it is called no more, while everything else runs on. What a
plugin has running belongs to its place here, so that taking it out leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bot.bounded import bounded
from bot.config import Plugins
from bot.errors import StoreError
from bot.logs import places, worded
from bot.plugin import Arguments, Bot, Command, Kind, Mark, Problem, Storage
from bot.plugin_loader import Handler, Plugin, find_plugins
from bot.plugin_set import Find, read_plugins
from bot.plugin_thread import in_thread
from bot.schedule import sleep_until
from bot.session import is_ended
from bot.store import Store
from trainer.errors import Fault
from trainer.language import say
from trainer.strict_yaml import Document

log = logging.getLogger(__name__)

THREADS = 8
"""Calls of a plugin's plain functions at a time; more wait, and what waits times out."""


@dataclass
class _Place:
    """A plugin that runs: what it was given, what it has running, how often it failed."""

    plugin: Plugin
    offered: dict[Any, Any]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    threads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(THREADS))
    failures: Counter[Callable[..., Any]] = field(default_factory=Counter)
    disabled: str = ""

    def end(self) -> None:
        """End all that it has running."""
        for task in self.tasks:
            task.cancel()
        self.tasks.clear()


class PluginHost:
    """All plugins.

    Args:
        settings: which, and how much is borne with.
        document: the tree of ``renshe.yaml``, for the places of wrong settings.
        store: where they keep what they keep.
        bot: handed to functions that ask for it.
        failed: told the name of each plugin that failed.
        find: finds them in the folder of the settings.
    """

    def __init__(
        self,
        settings: Plugins,
        document: Document | None,
        store: Store,
        bot: Bot,
        failed: Callable[[str], None] = lambda _name: None,
        find: Find = find_plugins,
    ) -> None:
        self._settings = settings
        self._document = document
        self._store = store
        self._bot = bot
        self._failed = failed
        self._find = find
        self._places: dict[str, _Place] = {}
        self._owners: dict[Handler, _Place] = {}
        self._commands: dict[str, Handler] = {}
        self._by_kind: dict[Kind, list[Handler]] = {}

    # --- loading ------------------------------------------------------------------------------

    async def load(self) -> list[Fault]:
        """Read every plugin anew; returns what is wrong with those that are not there now.

        One that was running and cannot be read any more, or has wrong settings, runs on as
        it was.
        """
        read = await asyncio.to_thread(read_plugins, self._settings, self._document, self._find)
        kept = [
            place.plugin for name, place in self._places.items() if read.is_missing_by_fault(name)
        ]
        former = list(self._places.values())
        for place in former:
            place.end()
        plugins = [*read.plugins, *kept]
        self._places = {plugin.name: self._place(plugin) for plugin in plugins}
        # Those of before are called to the end of the message that is being dealt with.
        self._owners = {
            handler: place
            for place in (*former, *self._places.values())
            for handler in place.plugin.handlers
        }
        self._index()
        return read.faults

    async def reload(self, settings: Plugins, document: Document | None) -> list[Fault]:
        """Read every plugin anew under other settings, see :meth:`load`."""
        self._settings, self._document = settings, document
        faults = await self.load()
        self.start()
        return faults

    def start(self) -> None:
        """Start the timers."""
        for place in self._places.values():
            place.tasks = [
                asyncio.create_task(self._repeat(handler), name=f"plugin {handler.plugin}")
                for handler in place.plugin.handlers
                if handler.mark.kind in ("every", "daily")
            ]

    async def close(self) -> None:
        """End all that plugins have running."""
        tasks = [task for place in self._places.values() for task in place.tasks]
        for place in self._places.values():
            place.end()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _place(self, plugin: Plugin) -> _Place:
        offered: dict[Any, Any] = {Bot: self._bot, Storage: Storage(self._store, plugin.name)}
        if plugin.settings is not None:
            offered[type(plugin.settings)] = plugin.settings
        return _Place(plugin, offered)

    def _index(self) -> None:
        """Sort the functions of the plugins that run by when they are called."""
        self._commands.clear()
        self._by_kind.clear()
        for place in self._places.values():
            for handler in () if place.disabled else place.plugin.handlers:
                self._by_kind.setdefault(handler.mark.kind, []).append(handler)
                self._commands |= {name.casefold(): handler for name in handler.mark.names}
        for handlers in self._by_kind.values():
            handlers.sort(key=lambda handler: handler.mark.priority)

    # --- looking up ---------------------------------------------------------------------------

    @property
    def states(self) -> Mapping[str, str]:
        """Each plugin by its name, with why it is disabled; empty for one that runs."""
        return {name: place.disabled for name, place in self._places.items()}

    @property
    def files(self) -> Mapping[str, str]:
        """The name of each plugin that is a file, by its path."""
        origins = {name: place.plugin.source.origin for name, place in self._places.items()}
        return {str(path): name for name, path in origins.items() if isinstance(path, Path)}

    @property
    def commands(self) -> Sequence[Command]:
        """Every command that there is now."""
        return [
            Command(mark.names[0], mark.names[1:], mark.about, mark.permission, handler.plugin)
            for handler in self._by_kind.get("command", [])
            if (mark := handler.mark)
        ]

    @property
    def listens_to_all(self) -> bool:
        """Whether any plugin wants messages that are not meant for the bot."""
        return any(handler.mark.unmeant for handler in self._by_kind.get("message", []))

    def command(self, text: str, prefix: str) -> tuple[Handler, Arguments] | None:
        """Return the command that ``text`` is, and what stands after its name."""
        if not text.startswith(prefix):
            return None
        words = text[len(prefix) :].split(None, 1)
        handler = self._commands.get(words[0].casefold()) if words else None
        return (handler, Arguments("".join(words[1:]).strip())) if handler else None

    def nearest(self, word: str, which: Callable[[Mark], bool]) -> str | None:
        """Return the command that is written most like ``word``, of those that ``which`` allows."""
        names = [name for name, handler in self._commands.items() if which(handler.mark)]
        return next(iter(get_close_matches(word.casefold(), names, n=1)), None)

    def handlers(self, kind: Kind) -> Sequence[Handler]:
        """Return the functions that are called at ``kind``, in order."""
        return tuple(self._by_kind.get(kind, ()))

    # --- calling ------------------------------------------------------------------------------

    async def call(self, handler: Handler, offered: Mapping[Any, Any]) -> Any:
        """Call a function with what it asks for.

        Returns:
            What it returned; a :class:`bot.plugin.Problem` if it failed.
        """
        place = self._owners.get(handler)  # which may have been reloaded since it was looked up
        if place is None or place.disabled:
            return None
        arguments = {
            name: offered[kind] if kind in offered else place.offered.get(kind)
            for name, kind in handler.wants.items()
        }
        try:
            result = await bounded(_run(place, handler, arguments), self._settings.timeout)
        except BaseException as error:  # a plugin is anyone's code: it may call sys.exit
            if isinstance(error, KeyboardInterrupt) or is_ended(error):
                raise
            return await self._note(place, handler, error)
        place.failures.pop(handler.function, None)
        return result

    async def tell(self, kind: Kind, offered: Mapping[Any, Any]) -> None:
        """Call every function of a kind, whatever it returns."""
        for handler in self.handlers(kind):
            await self.call(handler, offered)

    async def change(self, kind: Kind, value: Any, offered: Mapping[Any, Any], slot: Any) -> Any:
        """Pass ``value`` from one function of a kind to the next; each may return another.

        Args:
            kind: which functions.
            value: what the first one gets.
            offered: what they get besides.
            slot: the type under which they get it.
        """
        for handler in self.handlers(kind):
            result = await self.call(handler, {**offered, slot: value})
            if isinstance(result, type(value)):
                value = result
        return value

    async def _note(self, place: _Place, handler: Handler, error: BaseException) -> Problem:
        name = place.plugin.name
        if not isinstance(error, StoreError):  # a full disk is not the plugin's fault
            place.failures[handler.function] += 1
        self._failed(name)
        told = (
            say(zh=f"{self._settings.timeout:g} 秒没有做完", en="it took too long")
            if isinstance(error, TimeoutError)
            else worded(error)
        )
        log.error("plugin %s: %s: %s\n%s", name, handler.function.__name__, told, places(error))
        log.debug("plugin %s: %s", name, error)  # for its author's tests
        failures = place.failures[handler.function]
        if failures >= self._settings.faults and not place.disabled:
            place.disabled = told
            self._index()
            log.error("plugin %s is disabled after %d failures", name, failures)
        problem = Problem(name, error)
        if handler.mark.kind != "on_error":
            await self.tell("on_error", {Problem: problem})
        if place.disabled:  # at last, since this may be one of its timers
            place.end()
        return problem

    async def _repeat(self, handler: Handler) -> None:
        """Call a timer's function whenever its time comes, until it is cancelled."""
        while True:
            if handler.mark.kind == "every":
                await asyncio.sleep(handler.mark.seconds)
            else:
                await sleep_until(*handler.mark.at)
            await self.call(handler, {})


async def _run(place: _Place, handler: Handler, arguments: Mapping[str, Any]) -> Any:
    """Call a function; one that is not async runs in a thread, since it may block."""
    if handler.is_async:
        return await handler.function(**arguments)
    await place.threads.acquire()
    loop = asyncio.get_running_loop()

    def ended(_call: object) -> None:
        with suppress(RuntimeError):  # the bot has ended meanwhile
            loop.call_soon_threadsafe(place.threads.release)

    call = in_thread(handler.function, **arguments)
    call.add_done_callback(ended)
    return await asyncio.wrap_future(call)

"""The bot of a project, as the page deals with it: looked at, changed, told to read anew."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from bot.config import BotConfig, parse_bot_config
from bot.studio.bots.health import Figures, Health, ask_figures, ask_health
from bot.studio.bots.output import Entry, last_lines, troubles
from bot.studio.bots.process import BotProcess, Status
from bot.studio.bots.settings import Opened, SettingsFile, restart_needed
from bot.studio.bots.view import View, view
from bot.studio.workshop import Workshop
from trainer.errors import Fault, RensheError
from trainer.language import say

LISTEN = 5.0
"""Seconds in which a bot says that it read its settings anew, unless it loads a model."""

LAST_WAY = 15.0
"""Seconds beyond ``operation.drain`` after which a bot that was told to stop is overdue."""


@dataclass(frozen=True)
class Look:
    """Everything that the page shows, at one moment.

    Attributes:
        status: whether it runs.
        exists: there is a ``renshe.yaml``.
        config: what it says; None if it is wrong or not there.
        faults: what is wrong with it.
        store_faults: what is wrong with the database.
        view: what the database shows; None if there is none yet.
        health: what the bot says of its connections; None if it does not run or cannot say.
        figures: its counts.
        lines: the last lines that it printed.
        troubles: warnings and errors in its log.
        restart: settings that changed since it was started and count from the next start.
    """

    status: Status
    exists: bool
    config: BotConfig | None = None
    faults: tuple[Fault, ...] = ()
    store_faults: tuple[Fault, ...] = ()
    view: View | None = None
    health: Health | None = None
    figures: Figures | None = None
    lines: tuple[str, ...] = ()
    troubles: tuple[Entry, ...] = ()
    restart: tuple[str, ...] = ()

    @property
    def is_overdue(self) -> bool:
        """It was told to stop, and had time enough."""
        drain = self.config.operation.drain if self.config else 0.0
        stopping = self.status.state == "stopping"
        return stopping and time.time() - self.status.since > min(drain, LAST_WAY) + LAST_WAY


class BotDesk:
    """The bot of a workshop.

    Attributes:
        workshop: its project.
        process: the bot as a process.
        file: its ``renshe.yaml``.
    """

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self.process = BotProcess(workshop)
        self.file = SettingsFile(
            self.process.settings, workshop.own.absolute() / "bot" / "versions"
        )

    def look(self) -> Look:
        """Look at everything; what cannot be read is among the faults."""
        status = self.process.status()
        config, faults = self._config()
        found, store_faults = self._view()
        port = status.presence.port if status.presence else None
        output = self.process.output
        is_ours = status.ours or not status.is_up  # else the output is of an earlier bot
        return Look(
            status,
            self.process.settings.exists(),
            config,
            faults,
            store_faults,
            found,
            ask_health(port) if port else None,
            ask_figures(port) if port else None,
            tuple(last_lines(output)) if is_ours else (),
            tuple(troubles(output)) if is_ours else (),
            tuple(self._restart(config)) if config and status.ours else (),
        )

    def restart(self) -> None:
        """Stop the bot, wait for its end, and start it.

        Raises:
            RensheError: it cannot be stopped or started.
        """
        self.process.stop()
        deadline = time.monotonic() + LAST_WAY + self._drain()
        while self.process.status().is_up:
            if time.monotonic() > deadline:
                raise RensheError(
                    say(zh="它还没有停下", en="it has not stopped yet"),
                    fix=say(zh="等它停下，再启动", en="wait until it has, then start it"),
                    code="bot-slow",
                )
            time.sleep(0.2)
        self.process.start()

    def saved(self, save: Callable[[], Opened]) -> tuple[Opened, str]:
        """Save, and have the bot read it; returns the file now, and what came of it.

        Raises:
            RensheError: see :meth:`.SettingsFile.save`.
        """
        opened = save()
        return opened, self.reload()

    def reload(self) -> str:
        """Have a running bot read its settings anew; returns what came of it, for people."""
        status = self.process.status()
        if not status.is_up:
            return say(zh="存好了，启动时生效。", en="Saved; it counts from the next start.")
        before = self._printed()
        if not self.process.reload():
            return say(
                zh="存好了。机器人还在载入，等它好了再点“让它重读设置”。",
                en="Saved. The bot is still loading: press “Reload settings” once it is ready.",
            )
        outcome = self._hear(before) if status.ours else ""
        return outcome or say(
            zh="存好了，已经让机器人重读。", en="Saved; the bot was told to read it."
        )

    def _hear(self, before: int) -> str:
        """Wait for what a bot of ours says of its settings."""
        deadline = time.monotonic() + LISTEN
        while time.monotonic() < deadline:
            told = self._printed_since(before)
            if "nothing was reloaded" in told:
                return say(
                    zh="存好了，但机器人不肯用，照旧运行；原因在“最近的问题”里。",
                    en="Saved, but the bot refuses it and goes on as before; see the problems.",
                )
            if "reloaded " in told:
                return say(zh="存好了，机器人已经在用。", en="Saved, and the bot uses it now.")
            time.sleep(0.1)
        return ""

    def _printed(self) -> int:
        output = self.process.output
        return output.stat().st_size if output.exists() else 0

    def _printed_since(self, before: int) -> str:
        with self.process.output.open("rb") as file:
            file.seek(before)
            return file.read().decode("utf-8", "replace")

    def _config(self) -> tuple[BotConfig | None, tuple[Fault, ...]]:
        if not self.process.settings.exists():
            return None, ()
        try:
            return self.file.read(), ()
        except RensheError as error:
            return None, error.faults

    def _view(self) -> tuple[View | None, tuple[Fault, ...]]:
        try:
            return view(self.process.store()), ()
        except RensheError as error:
            return None, error.faults

    def _restart(self, config: BotConfig) -> list[str]:
        from bot.runtime import RESTART

        try:
            text = self.process.started_with.read_text("utf-8")
            started, _ = parse_bot_config(text, self.process.settings)
        except (OSError, UnicodeDecodeError, RensheError):
            return []
        return restart_needed(config, started, RESTART)

    def _drain(self) -> float:
        config, _ = self._config()
        return config.operation.drain if config else 20.0

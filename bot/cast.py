"""Who answers: the personas of ``renshe.yaml`` with their engines, and which chat has whom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from random import choice

from bot.config import BotConfig, PersonaConfig
from bot.engine import Engine
from bot.event import SessionKey
from trainer.checkpoint import RUN_FILE
from trainer.language import say
from trainer.persona import Persona, load_persona

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Player:
    """A persona and what answers for it.

    Attributes:
        name: its name in ``renshe.yaml``.
        engine: what answers; it knows the persona.
        tired: lines to say when it is asked too much.
        made_of: what it was loaded from; the same again need not be loaded again.
    """

    name: str
    engine: Engine
    tired: tuple[str, ...] = ()
    made_of: tuple[PersonaConfig, str] | None = None

    @property
    def persona(self) -> Persona:
        """Who it is."""
        return self.engine.persona

    def refusal(self) -> str:
        """Return what it says when it is asked too much at once."""
        if self.tired:
            return choice(self.tired)
        me = next(iter(self.persona.voice.first_person), "")
        if self.persona.language == "zh":
            return f"{me or '我'}有点忙不过来了，等一会儿再说吧~"
        return "One moment, please, that is a little much at once."

    def excuse(self) -> str:
        """Return what it says when it has no answer."""
        if self.persona.fallback:
            return choice(self.persona.fallback)
        return "……" if self.persona.language == "zh" else "…"


class Cast:
    """All players.

    Args:
        players: by name; the first is the default.
    """

    def __init__(self, players: Mapping[str, Player]) -> None:
        self._players = dict(players)
        self._chosen: dict[SessionKey, str] = {}

    @property
    def players(self) -> Mapping[str, Player]:
        """Everyone by name."""
        return self._players

    @property
    def personas(self) -> Mapping[str, Persona]:
        """Every persona by its name."""
        return {name: player.persona for name, player in self._players.items()}

    def of(self, session: SessionKey) -> Player:
        """Return who answers in a session; the default where the chosen one is gone."""
        name = self._chosen.get(session.whole_chat, "") if self._chosen else ""
        return self._players.get(name) or next(iter(self._players.values()))

    def remember(self, chosen: Mapping[SessionKey, str]) -> None:
        """Take over who was chosen in an earlier run, by the key of the chat."""
        self._chosen.update(chosen)

    def choose(self, session: SessionKey, name: str) -> None:
        """Note that a chat has another player, once the store has it."""
        self._chosen[session.whole_chat] = name

    def move(self, old: SessionKey, new: SessionKey) -> None:
        """Give a chat's player to the chat that it became."""
        name = self._chosen.pop(old.whole_chat, None)
        if name is not None:
            self._chosen[new.whole_chat] = name

    def replace(self, players: Mapping[str, Player]) -> list[Engine]:
        """Take other players; returns the engines that are not needed any more."""
        kept = {id(player.engine) for player in players.values()}
        left = [p.engine for p in self._players.values() if id(p.engine) not in kept]
        self._players = dict(players)
        return left

    def stop(self) -> None:
        """Stop every engine."""
        for player in self._players.values():
            player.engine.stop()


def load_players(
    config: BotConfig,
    former: Mapping[str, Player] | None = None,
    report: Report = lambda _stage, _done: None,
) -> dict[str, Player]:
    """Load every persona's engine.

    Args:
        config: which.
        former: players of before; those whose checkpoint is the same still are kept.
        report: told of the progress.

    Raises:
        RensheError: a persona file, a checkpoint, a base or a key is missing or wrong.
    """
    players = {}
    with ExitStack() as unused:  # what was loaded before the one that cannot be is stopped
        for name, entry in config.personas.items():
            before, made_of = (former or {}).get(name), _made_of(entry)
            if before is not None and made_of is not None and before.made_of == made_of:
                players[name] = before
                continue
            report(say(zh=f"准备 {name}", en=f"getting {name} ready"), 0.0)
            players[name] = Player(name, _engine(entry, report), entry.tired, made_of)
            unused.callback(players[name].engine.stop)
        unused.pop_all()
    return players


def _made_of(entry: PersonaConfig) -> tuple[PersonaConfig, str] | None:
    """Return what a tuned engine depends on; none for others, which are loaded in no time."""
    if entry.tuned is None:
        return None
    try:
        return entry, (entry.tuned.run / RUN_FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):  # loading it says what is wrong
        return None


def _engine(entry: PersonaConfig, report: Report) -> Engine:
    if entry.tuned is not None:
        from bot.engine.tuned import load_engine
        from trainer.sampling import Sampling

        sampling = Sampling(
            temperature=entry.tuned.temperature, max_new_tokens=entry.tuned.max_new_tokens
        )
        return load_engine(entry.tuned.run, sampling=sampling, report=report)
    if entry.remote is not None:
        from bot.engine.remote import load_remote

        return load_remote(entry.remote)
    if entry.echo is None:
        raise AssertionError("the configuration has exactly one engine")
    from bot.engine.echo import EchoEngine

    return EchoEngine(load_persona(entry.echo.persona))

"""``renshe.yaml``: everything about one running bot, but for its secrets.

Secrets are named, not written: ``token_env`` or ``token_file`` (:mod:`bot.secrets`). A path
counts from the folder of the file it stands in. Nothing heavy is imported here, so that
checking a file is quick.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from bot.adapters.console import ConsoleConfig
from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.telegram.config import TelegramConfig
from bot.errors import BotConfigError
from bot.strict import Strict
from trainer.language import say
from trainer.strict_yaml import Document, fit, read_document, read_text, refusal

_PLACE = re.compile(r"[a-z0-9_*]+:.+")


def _named(text: str) -> str:
    """Refuse a person or chat without its platform: the same number is someone else there."""
    if not _PLACE.fullmatch(text):
        raise refusal(
            "no-platform",
            say(zh="这里要写明平台", en="the platform is missing here"),
            f"telegram:{text}, onebot_v11:{text}",
        )
    return text


Who = Annotated[str, AfterValidator(_named)]
"""A person as ``platform:id``."""

Where = Annotated[str, AfterValidator(_named)]
"""A chat as ``platform:id``; ``*`` at its end stands for anything."""


class Tuned(Strict):
    """A checkpoint on this machine."""

    run: Path
    """The ``--out`` folder of ``renshe train``; it brings its persona along."""
    temperature: float = Field(0.3, ge=0, le=2)
    """0 always says the same; higher varies more."""
    max_new_tokens: int = Field(128, ge=1)
    """A reply is cut there."""


class Remote(Strict):
    """A server that speaks the OpenAI chat API."""

    url: str = Field(pattern=r"^https?://")
    """Its address up to ``/v1``."""
    model: str
    """The model's name there."""
    persona: Path
    """The persona file: its summary and examples are sent along."""
    key_env: str | None = None
    """Environment variable with the API key."""
    key_file: Path | None = None
    """File with the API key, readable by its owner only."""
    temperature: float = Field(0.7, ge=0, le=2)
    """0 always says the same; higher varies more."""
    max_new_tokens: int = Field(256, ge=1)
    """A reply is cut there."""
    examples: int = Field(12, ge=0)
    """Questions and answers of the persona that are shown to the model."""
    rounds: int = Field(12, ge=1)
    """Rounds of the history that are shown to the model."""


class Echo(Strict):
    """Says what it is told, without any model: to try the connections."""

    persona: Path
    """The persona file: its name is listened to."""


class PersonaConfig(Strict):
    """A persona and what answers for it: exactly one of ``tuned``, ``remote`` and ``echo``."""

    tuned: Tuned | None = None
    """A checkpoint on this machine."""
    remote: Remote | None = None
    """A server that speaks the OpenAI chat API."""
    echo: Echo | None = None
    """No model at all."""
    tired: tuple[str, ...] = ()
    """Lines in its voice to say when it is asked too much at once."""

    @model_validator(mode="after")
    def _one_engine(self) -> PersonaConfig:
        if sum(engine is not None for engine in (self.tuned, self.remote, self.echo)) != 1:
            raise refusal(
                "one-engine",
                say(
                    zh="tuned、remote、echo 要写一个，也只能写一个",
                    en="exactly one of tuned, remote and echo is needed",
                ),
                "tuned: {run: runs/muxue}",
            )
        return self


class Adapters(Strict):
    """Where the bot is; each platform has a list, one entry an account or connection."""

    onebot_v11: tuple[OneBotConfig, ...] = ()
    """QQ, through NapCat, Lagrange or another OneBot v11 implementation."""
    telegram: tuple[TelegramConfig, ...] = ()
    """Telegram."""
    console: tuple[ConsoleConfig, ...] = ()
    """This terminal."""

    def each(self) -> list[tuple[str, BaseModel]]:
        """Return every (name in ``ADAPTERS``, settings), in the order of the fields."""
        return [(name, entry) for name in type(self).model_fields for entry in getattr(self, name)]

    @model_validator(mode="after")
    def _somewhere(self) -> Adapters:
        if not self.each():
            raise refusal(
                "no-adapter",
                say(zh="一个平台都没有写", en="there is no platform"),
                "console: [{}]",
            )
        return self


class Triggers(Strict):
    """What in a group is meant for the bot. In a private chat everything is."""

    mention: bool = True
    """It is mentioned (@)."""
    reply: bool = True
    """Somebody replies to a message of its."""
    nickname: bool = True
    """The message begins or ends with the persona's name or one of its aliases."""
    prefix: str = Field("/", min_length=1, max_length=4)
    """What a command begins with."""
    random: float = Field(0.0, ge=0, le=1)
    """The share of all other messages that it answers unasked."""


class Chats(Strict):
    """In which chats it talks."""

    allow: tuple[Where, ...] = ("*:*",)
    """Only in these."""
    deny: tuple[Where, ...] = ()
    """In none of these, even if they are allowed."""


class Limits(Strict):
    """How much it can be asked; beyond it, it says once that it is tired."""

    per_user: int = Field(20, ge=1)
    """Messages of one person in ``window``."""
    overall: int = Field(300, ge=1)
    """Messages of everybody in ``window``."""
    window: float = Field(60.0, gt=0)
    """Seconds over which they are counted."""
    replies: int = Field(2, ge=1)
    """Replies that are thought up at the same time."""
    deadline: float = Field(120.0, gt=0)
    """Seconds after which a reply is given up, waiting for its turn included."""


class Sessions(Strict):
    """Who shares a history."""

    scope: Literal["chat", "user"] = "chat"
    """Everyone in a chat, or each person in it apart."""
    queue: int = Field(100, ge=1)
    """Messages of a session that may wait; more are refused."""
    debounce: float = Field(0.0, ge=0, le=10)
    """Seconds to wait for more of the same person, to answer it all at once; 0 does not wait."""
    rounds: int = Field(50, ge=1)
    """Latest rounds that are read for a prompt; the engine cuts them to what it can see."""


class Delivery(Strict):
    """How replies are said."""

    typing_speed: float = Field(20.0, ge=0)
    """Characters a second, between the parts of a long reply; 0 does not wait."""
    longest_pause: float = Field(4.0, ge=0)
    """Most seconds between two parts."""
    part: int = Field(300, ge=20)
    """Characters after which a reply is said in parts, at the ends of sentences."""
    give_up: float = Field(600.0, gt=0)
    """Seconds after which a reply is given up whose platform cannot be reached."""
    stream: bool = True
    """Show replies while they grow, on platforms that can."""


class Plugins(Strict):
    """What plugins there are."""

    folder: Path | None = None
    """Folder with your own plugins, one file each."""
    disabled: tuple[str, ...] = ()
    """Names of plugins that are not loaded."""
    timeout: float = Field(30.0, gt=0)
    """Seconds that a plugin may take for one call."""
    faults: int = Field(3, ge=1)
    """Failures in a row after which a plugin is disabled."""
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Settings of each plugin, by its name."""


class Operation(Strict):
    """How it is looked after."""

    port: int | None = Field(None, ge=0, le=65535)
    """Port of ``/healthz`` and ``/metrics`` on 127.0.0.1; 0 takes any, left out there are none."""
    log: Literal["text", "json"] = "text"
    """Lines for people or for programs."""
    drain: float = Field(20.0, ge=0)
    """Seconds that replies may still take when it is stopped."""


class BotConfig(Strict):
    """One ``renshe.yaml``."""

    store: Path = Path("renshe.db")
    """The database: what was received, said, and still has to be said."""
    personas: dict[str, PersonaConfig] = Field(min_length=1)
    """Each persona under a short name; the first one answers where none was chosen."""
    adapters: Adapters
    """Where the bot is."""
    owners: tuple[Who, ...] = ()
    """Who may do anything: ``telegram:12345``."""
    triggers: Triggers = Triggers()
    """What in a group is meant for the bot."""
    chats: Chats = Chats()
    """In which chats it talks."""
    limits: Limits = Limits()
    """How much it can be asked."""
    sessions: Sessions = Sessions()
    """Who shares a history."""
    delivery: Delivery = Delivery()
    """How replies are said."""
    plugins: Plugins = Plugins()
    """What plugins there are."""
    operation: Operation = Operation()
    """How it is looked after."""


def load_bot_config(path: Path | str) -> BotConfig:
    """Read ``renshe.yaml``; its paths become absolute.

    Raises:
        SourceError: the file cannot be read.
        BotConfigError: with every setting that is wrong, and its place.
    """
    return read_bot_config(path)[0]


def read_bot_config(path: Path | str) -> tuple[BotConfig, Document]:
    """Read ``renshe.yaml`` as :func:`load_bot_config` does, with its tree for later faults."""
    path = Path(path)
    return parse_bot_config(read_text(path), path)


def parse_bot_config(text: str, path: Path) -> tuple[BotConfig, Document]:
    """Read the ``text`` of a ``renshe.yaml`` at ``path``, see :func:`read_bot_config`."""
    document, faults = read_document(text, path)
    config: BotConfig | None = None
    if document is not None:
        config, misfits = fit(document, BotConfig)
        faults = sorted([*faults, *misfits], key=lambda fault: (fault.line, fault.column))
    if config is None or document is None or faults:
        raise BotConfigError(faults=tuple(faults))
    return _anchored(config, path.absolute().parent), document


def bot_config_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``renshe.yaml``, for editors to check it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **BotConfig.model_json_schema(),
    }


def _anchored(value: Any, folder: Path) -> Any:
    """Return ``value`` with every relative path in it counted from ``folder``."""
    if isinstance(value, Path):
        return folder / value.expanduser()
    if isinstance(value, BaseModel):
        fields = {
            name: _anchored(getattr(value, name), folder) for name in type(value).model_fields
        }
        return value.model_copy(update=fields)
    if isinstance(value, tuple):
        return tuple(_anchored(item, folder) for item in value)
    if isinstance(value, dict):
        return {key: _anchored(item, folder) for key, item in value.items()}
    return value

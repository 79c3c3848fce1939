"""From what someone fills in to a bot's settings: who answers, and on which platform."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ruamel.yaml.comments import CommentedMap

from bot.adapters.onebot_v11.config import OneBotConfig
from bot.adapters.telegram.config import TelegramConfig
from bot.config import BotConfig
from bot.errors import BotConfigError
from bot.studio.bots.secret_files import FOLDER, checked_secret, new_secret_file, replace_secret
from bot.studio.bots.settings import Opened, SettingsFile, changed_text, child
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.language import say

Way = Literal["reverse_websocket", "forward_websocket", "http", "telegram"]
"""How the bot is connected: three ways to QQ, one to Telegram."""

HTTP_PATH = "/onebot/v11/http"

_RUN, _ECHO = "run:", "echo:"


@dataclass(frozen=True)
class Wish:
    """What was filled in.

    Attributes:
        way: which platform, and how.
        token: of the platform; empty for none.
        secret: of ``X-Signature`` (OneBot over HTTP); empty for none.
        host: where to listen.
        port: where to listen.
        url: where to connect to.
        proxy: through which Telegram is reached; empty for none.
        owner: the id of whose bot it is; empty for nobody.
    """

    way: Way
    token: str = ""
    secret: str = ""
    host: str = "127.0.0.1"
    port: int = 8080
    url: str = ""
    proxy: str = ""
    owner: str = ""

    @property
    def platform(self) -> str:
        """Its name in ``renshe.yaml``."""
        return "telegram" if self.way == "telegram" else "onebot_v11"


def players(workshop: Workshop) -> list[tuple[str, str]]:
    """Return who could answer, as (label, value): tuned runs, then personas as an echo."""
    echo = say(zh="（只重复你的话，试连接用）", en=" (only repeats you, to try the connection)")
    return [
        *((run, _RUN + run) for run in workshop.runs()),
        *((name + echo, _ECHO + name) for name in workshop.personas()),
    ]


def first_player(workshop: Workshop) -> str | None:
    """Return the value of the youngest run, if there is one: what was just tuned."""
    return next((_RUN + run for run in workshop.runs()), None)


def connect(file: SettingsFile, seen: str, workshop: Workshop, who: str, wish: Wish) -> Opened:
    """Write a new ``renshe.yaml``, or add a connection to the one that is there.

    Args:
        file: where to.
        seen: its digest when the form was shown; empty for a new file.
        workshop: what there is to answer.
        who: a value of :func:`players`; not asked for where the file is there.
        wish: the connection.

    Raises:
        RensheError: something of it is wrong, with the fix; then nothing was written, and no
            secret is left behind.
    """
    if seen:
        file.read()  # what is wrong already cannot be added to
    if wish.owner and not wish.owner.isdecimal():
        raise _no_number(wish.owner)
    secrets = _secrets(wish)
    planned = {name: Path("secrets") / name for name in secrets}
    text = _text(file, seen, workshop, who, wish, planned)
    if faults := file.faults(text):
        raise BotConfigError(faults=tuple(faults))
    kept: dict[str, Path] = {}
    try:
        for name, secret in secrets.items():
            kept[name] = new_secret_file(workshop.root, f"{wish.platform}-{name}", secret)
        return file.save(_text(file, seen, workshop, who, wish, kept), seen)
    except RensheError:
        for path in kept.values():
            (workshop.root / path).unlink(missing_ok=True)
        raise


def choose(file: SettingsFile, seen: str, workshop: Workshop, name: str, who: str) -> Opened:
    """Have another run answer for the persona ``name`` of the file.

    Raises:
        RensheError: see :meth:`.SettingsFile.save`.
    """
    chosen = _player(workshop, who)[1]

    def change(data: CommentedMap) -> None:
        entry = data["personas"][name]
        ((engine, settings),) = chosen.items()
        former = entry.get(engine)
        for key in ("tuned", "remote", "echo"):
            entry.pop(key, None)
        entry[engine] = settings if former is None else former
        entry[engine].update(settings)

    return file.change(change, seen)


def secret_files(config: BotConfig) -> dict[str, Path]:
    """Return the secret files of the settings, by how they are called on the page."""
    return {
        f"{number}. {platform} · {name.removesuffix('_file')}": path
        for number, (platform, entry) in enumerate(config.adapters.each(), 1)
        for name in type(entry).model_fields
        if name.endswith("_file") and (path := getattr(entry, name)) is not None
    }


def renew(file: SettingsFile, workshop: Workshop, label: str, secret: str) -> None:
    """Write another secret in place of the one that :func:`secret_files` calls ``label``.

    Raises:
        RensheError: there is none of that name any more, or it is no secret, or it is kept
            outside of the project.
    """
    path = secret_files(file.read()).get(label)
    if path is None:
        raise RensheError(say(zh="没有这个 token 文件了", en="there is no such token any more"))
    if not path.resolve().is_relative_to((workshop.root / FOLDER).resolve()):
        raise RensheError(
            say(
                zh=f"它不在项目的 {FOLDER}/ 里，不在这里改",
                en=f"it is outside of the project's {FOLDER}/",
            ),
            path=path,
            fix=say(zh="用编辑器改它，再 chmod 600", en="edit it, then chmod 600"),
            code="outside",
        )
    secret = checked_secret(secret, telegram="telegram" in label)
    if not secret:
        raise RensheError(say(zh="token 是空的", en="the token is empty"), code="odd-token")
    replace_secret(path, secret)


# --- the text -----------------------------------------------------------------------------------


def _text(
    file: SettingsFile,
    seen: str,
    workshop: Workshop,
    who: str,
    wish: Wish,
    secrets: dict[str, Path],
) -> str:
    entry = _entry(wish, secrets)

    def change(data: CommentedMap) -> None:
        if not seen:
            name, player = _player(workshop, who)
            data["personas"] = {name: player}
        child(child(data, "adapters", {}), wish.platform, []).append(entry)
        owner = f"{wish.platform}:{wish.owner}"
        if wish.owner and owner not in child(data, "owners", []):
            data["owners"].append(owner)

    opened = file.open()
    return changed_text(opened.text, change) if seen else _head() + changed_text("", change)


def _head() -> str:
    return say(
        zh="# 工作室写的；用编辑器改也行，注释会留着。每一项见 docs/bot.md。\n",
        en="# Written by the studio; edit it as you like, comments stay. See docs/bot.md.\n",
    )


def _player(workshop: Workshop, who: str) -> tuple[str, dict[str, dict[str, str]]]:
    """Return the name and the engine of a value of :func:`players`."""
    if who not in [value for _, value in players(workshop)]:
        raise RensheError(
            say(zh="没有选谁来回答", en="nobody was chosen to answer"),
            fix=say(
                zh="选一个训练好的 run；还没有的话，先去“训练”",
                en="choose a tuned run; if there is none yet, go to Train first",
            ),
            code="no-player",
        )
    kind, _, name = who.partition(":")
    if kind == "run":
        return name, {"tuned": {"run": f"runs/{name}"}}
    return name, {"echo": {"persona": f"personas/{name}.yaml"}}


def _no_number(owner: str) -> RensheError:
    return RensheError(
        say(
            zh=f"主人要写号码，不是名字：{owner[:40]}",
            en=f"an owner is a number, not the name {owner[:40]}",
        ),
        fix=say(
            zh="QQ 号，或 Telegram 的数字 id（发消息给 @userinfobot 就知道）",
            en="the QQ number, or the number of a Telegram user (@userinfobot tells it)",
        ),
        code="no-number",
    )


def _secrets(wish: Wish) -> dict[str, str]:
    """Return the secrets that were filled in, by their names in the settings."""
    telegram = wish.way == "telegram"
    typed = {"token": checked_secret(wish.token, telegram=telegram)}
    if wish.way == "http":
        typed["secret"] = checked_secret(wish.secret)
    return {name: secret for name, secret in typed.items() if secret}


def _entry(wish: Wish, secrets: dict[str, Path]) -> dict[str, Any]:
    """Return a connection as it stands in ``renshe.yaml``; only what its way looks at."""
    files = {f"{name}_file": path.as_posix() for name, path in secrets.items()}
    if wish.way == "telegram":
        return {**files, **({"proxy": wish.proxy} if wish.proxy else {})}
    listens = {"host": wish.host, "port": wish.port}
    if wish.way == "reverse_websocket":
        return {"transport": wish.way, **listens, **files}
    if wish.way == "forward_websocket":
        return {"transport": wish.way, "url": wish.url, **files}
    return {"transport": wish.way, **listens, "path": HTTP_PATH, "url": wish.url, **files}


# --- the other side -----------------------------------------------------------------------------


def what_to_enter(config: BotConfig) -> Iterator[str]:
    """Yield Markdown for each connection: what to enter at NapCat, Lagrange or BotFather."""
    for _, entry in config.adapters.each():
        if isinstance(entry, OneBotConfig):
            yield _at_onebot(entry)
        elif isinstance(entry, TelegramConfig):
            yield _at_telegram()


def _at_onebot(entry: OneBotConfig) -> str:
    token = (
        say(zh="你填过的那一个", en="the one you filled in")
        if entry.token_file or entry.token_env
        else say(zh="空着", en="left empty")
    )
    host = say(zh="这台机器的地址", en="ADDRESS-OF-THIS-MACHINE")
    host = host if entry.host in ("0.0.0.0", "::") else entry.host
    if entry.transport == "reverse_websocket":
        return _reverse(f"ws://{host}:{entry.port}{entry.path}", host, entry, token)
    if entry.transport == "forward_websocket":
        return say(
            zh=f"**NapCat**：WebUI →「网络配置」→「新建」→「WebSocket 服务器」，端口与 "
            f"`{entry.url}` 一致，消息格式 `array`，Token：{token}，打开「启用」。"
            "**Lagrange**：`Implementations` 里写一项 `ForwardWebSocket`。",
            en=f"**NapCat**: WebUI → network → new WebSocket server on the port of `{entry.url}`, "
            f"format `array`, token: {token}; enable it. **Lagrange**: a `ForwardWebSocket` entry "
            "under `Implementations`.",
        )
    return say(
        zh=f"**NapCat**：建「HTTP 客户端」，URL `http://{host}:{entry.port}{entry.path}`，"
        f"Token 填签名密钥；再建「HTTP 服务器」，端口与 `{entry.url}` 一致，Token：{token}。",
        en=f"**NapCat**: an HTTP client with the URL `http://{host}:{entry.port}{entry.path}`, "
        f"whose token is the signing secret, and an HTTP server on the port of `{entry.url}`, "
        f"token: {token}.",
    )


def _reverse(url: str, host: str, entry: OneBotConfig, token: str) -> str:
    return say(
        zh=f"**NapCat**：WebUI →「网络配置」→「新建」→「WebSocket 客户端」，URL `{url}`，"
        f"消息格式 `array`，心跳 `30000`，重连 `5000`，Token：{token}，打开「启用」，保存。\n\n"
        f"**Lagrange**：`appsettings.json` 的 `Implementations` 里写一项 "
        f'`"Type": "ReverseWebSocket", "Host": "{host}", "Port": {entry.port}, '
        f'"Suffix": "{entry.path}"`，`AccessToken`：{token}，重启。',
        en=f"**NapCat**: WebUI → network → new WebSocket client, URL `{url}`, format `array`, "
        f"heartbeat `30000`, reconnect `5000`, token: {token}; enable it and save.\n\n"
        f"**Lagrange**: an entry under `Implementations` in `appsettings.json`: "
        f'`"Type": "ReverseWebSocket", "Host": "{host}", "Port": {entry.port}, '
        f'"Suffix": "{entry.path}"`, `AccessToken`: {token}; restart it.',
    )


def _at_telegram() -> str:
    return say(
        zh="**Telegram**：什么都不用填，搜机器人的用户名就能和它说话。要在群里听得见："
        "对 @BotFather 发 `/setprivacy`，选机器人，选 `Disable`，再把它移出群、重新拉进来。",
        en="**Telegram**: nothing to enter; look its name up and talk to it. To be heard in "
        "groups, send `/setprivacy` to @BotFather, choose the bot, choose `Disable`, then remove "
        "it from its groups and add it again.",
    )

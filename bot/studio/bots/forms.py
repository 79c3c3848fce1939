"""The forms of the tab Bots: a connection, a token, and who answers."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, cast

import gradio as gr

from bot.studio.bots import html as html
from bot.studio.bots.connection import (
    Way,
    Wish,
    choose,
    connect,
    first_player,
    players,
    renew,
    secret_files,
)
from bot.studio.bots.desk import BotDesk
from bot.studio.bots.settings import Opened
from trainer.errors import RensheError
from trainer.language import say

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass
class Common:
    """What the forms share.

    Attributes:
        desk: the bot.
        seen: digest of ``renshe.yaml`` as this page last saw it.
        epoch: grows whenever the forms are to show the file anew.
        notice: what came of the last thing that was done.
    """

    desk: BotDesk
    seen: gr.State
    epoch: gr.State
    notice: gr.HTML

    def save(self, save: Callable[[], Opened], seen: str) -> tuple[str, str, bool]:
        """Save; returns the notice, the digest now, and whether it went well."""
        try:
            opened, told = self.desk.saved(save)
        except RensheError as error:
            return refused(error), seen, False
        gr.Info(told)
        return html.note(told, "good"), opened.digest, True


def refused(error: RensheError) -> str:
    """Return a mistake as a box, and say it where the visitor looks: the box may be far up."""
    gr.Warning(escape(str(error.faults[0].problem)))
    return html.faults_box(error.faults)


# --- a connection -------------------------------------------------------------------------------


def first_form(common: Common) -> gr.Dropdown:
    """Build the form with which someone puts a persona online; returns who is to answer."""
    gr.Markdown(
        say(
            zh="### 让它上线\n\n三步：谁来回答，放到哪里，填 token。写成项目里的 `renshe.yaml`，"
            "以后随时能改。",
            en="### Put it online\n\nThree steps: who answers, where, and the token. It becomes "
            "`renshe.yaml` in the project, which can be changed at any time.",
        )
    )
    who = gr.Dropdown(
        players(common.desk.workshop),
        value=None,
        label=say(zh="1. 谁来回答", en="1. Who answers"),
        elem_id="bots-who",
    )
    who.focus(partial(_players, common), outputs=who, **QUIET)
    _connection(common, who, say(zh="写成 renshe.yaml", en="Write renshe.yaml"), "bots-first")
    return who


def add_form(common: Common) -> None:
    """Build the form with which a connection is added to the file."""
    _connection(common, gr.State(""), say(zh="加上", en="Add"), "bots-add")


def _players(common: Common) -> Any:
    return gr.Dropdown(players(common.desk.workshop))


def proposed(common: Common, who: str | None) -> Any:
    """Propose the youngest run to someone who has not chosen yet."""
    workshop = common.desk.workshop
    return gr.Dropdown(players(workshop), value=who or first_player(workshop))


def _connection(common: Common, who: Any, button: str, name: str) -> None:
    way = gr.Radio(_ways(), value="reverse_websocket", label=say(zh="2. 放到哪里", en="2. Where"))
    token = gr.Textbox(
        type="password",
        label="3. token",
        info=_about_token("reverse_websocket"),
        elem_id=f"{name}-token",
        max_length=512,
    )
    make = gr.Button(say(zh="生成一个 token", en="Make a token"), size="sm")
    url = gr.Textbox(label=say(zh="实现的地址", en="Its address"), visible=False)
    secret = gr.Textbox(
        type="password", label=say(zh="签名密钥", en="Signing secret"), visible=False
    )
    owner = gr.Textbox(
        label=say(zh="你自己的 QQ 号或 Telegram id（可不填）", en="Your own QQ number or id"),
        info=say(zh="机器人把它当主人", en="the bot takes it for its owner's; may be left empty"),
        elem_id=f"{name}-owner",
    )
    with gr.Accordion(say(zh="更多", en="More"), open=False):
        host = gr.Textbox("127.0.0.1", label=say(zh="监听的地址", en="Address to listen on"))
        port = gr.Number(
            8080,
            precision=0,
            label=say(zh="端口", en="Port"),
            elem_id=f"{name}-port",
        )
        proxy = gr.Textbox(
            label=say(zh="代理", en="Proxy"), placeholder="socks5://127.0.0.1:1080", visible=False
        )
    done = gr.Button(button, variant="primary", elem_id=f"{name}-save")
    fields = [way, token, secret, host, port, url, proxy, owner]
    way.input(_fitting, way, [token, make, url, secret, host, port, proxy], **QUIET)
    make.click(_made, outputs=token, **QUIET)
    done.click(
        partial(_connect, common),
        [common.seen, common.epoch, who, *fields],
        [common.notice, common.seen, common.epoch, token, secret],
        **QUIET,
    )


def _ways() -> list[tuple[str, str]]:
    return [
        (
            say(
                zh="QQ：NapCat / Lagrange 连过来（一般用它）", en="QQ: NapCat or Lagrange connects"
            ),
            "reverse_websocket",
        ),
        (say(zh="QQ：我们连过去", en="QQ: we connect to it"), "forward_websocket"),
        (say(zh="QQ：HTTP", en="QQ: HTTP"), "http"),
        ("Telegram", "telegram"),
    ]


def _about_token(way: str) -> str:
    if way == "telegram":
        return say(
            zh="在 Telegram 里找 @BotFather，发 /newbot，起名字和以 bot 结尾的用户名；"
            "它给的一行 123456789:AA… 粘到这里。存进只有你能读的文件，之后不再显示。",
            en="Find @BotFather on Telegram, send /newbot, choose a name and a username that ends "
            "in bot; paste the line 123456789:AA… here. It goes into a file that only you can "
            "read, and is never shown again.",
        )
    return say(
        zh="两边写成一样的。先复制下来，待会儿填到 NapCat 或 Lagrange 里："
        "存进只有你能读的文件，之后不再显示。只在本机用可以空着。",
        en="The same on both sides. Copy it now, for NapCat or Lagrange: it goes into a file that "
        "only you can read, and is never shown again. It may be left empty on one machine.",
    )


def _fitting(way: str) -> list[Any]:
    """Show the inputs that a way looks at."""
    is_telegram, forward = way == "telegram", way == "forward_websocket"
    listens = way in ("reverse_websocket", "http")
    example = "ws://127.0.0.1:3001/" if forward else "http://127.0.0.1:3000"
    return [
        gr.Textbox(info=_about_token(way)),
        gr.Button(visible=not is_telegram),
        gr.Textbox(visible=forward or way == "http", placeholder=example),
        gr.Textbox(visible=way == "http"),
        gr.Textbox(visible=listens),
        gr.Number(visible=listens),
        gr.Textbox(visible=is_telegram),
    ]


def _made() -> Any:
    """Make a token, shown until it is saved: the other side needs it too."""
    return gr.Textbox(secrets.token_hex(16), type="text")


def _connect(common: Common, seen: str, epoch: int, who: Any, *fields: Any) -> list[Any]:
    way, token, secret, host, port, url, proxy, owner = (field or "" for field in fields)
    wish = Wish(
        cast(Way, way),
        token=str(token),
        secret=str(secret),
        host=str(host).strip(),
        port=int(port or 0),
        url=str(url).strip(),
        proxy=str(proxy).strip(),
        owner=str(owner).strip(),
    )
    desk = common.desk
    save = partial(connect, desk.file, seen, desk.workshop, str(who or ""), wish)
    notice, seen, is_saved = common.save(save, seen)
    if not is_saved:
        return [notice, seen, gr.skip(), gr.skip(), gr.skip()]
    empty = gr.Textbox("", type="password")
    return [notice, seen, epoch + 1, empty, empty]


# --- a token, who answers -----------------------------------------------------------------------


def renew_form(common: Common) -> None:
    """Build the form with which a token is replaced; the old one is not shown."""
    which = gr.Dropdown(label=say(zh="哪一个", en="Which one"), elem_id="bots-renew-which")
    token = gr.Textbox(
        type="password", label=say(zh="新的 token", en="New token"), elem_id="bots-renew-token"
    )
    done = gr.Button(say(zh="换掉", en="Replace"), elem_id="bots-renew-save")
    common.epoch.change(partial(_secret_choices, common), outputs=which, **QUIET)
    done.click(partial(_renew, common), [which, token], [common.notice, token], **QUIET)


def _secret_choices(common: Common) -> Any:
    try:
        names = list(secret_files(common.desk.file.read()))
    except RensheError:
        names = []
    return gr.Dropdown(names, value=names[0] if names else None)


def _renew(common: Common, which: str | None, token: str) -> tuple[Any, Any]:
    desk = common.desk
    try:
        renew(desk.file, desk.workshop, which or "", token)
    except RensheError as error:
        return refused(error), gr.skip()
    told = say(
        zh="换好了，重启机器人后生效；对面也要换成一样的。",
        en="Replaced; it counts after a restart. The other side needs the same one.",
    )
    return html.note(told, "good"), ""


def run_form(common: Common) -> None:
    """Build the form with which another run answers for a persona."""
    name = gr.Dropdown(label=say(zh="在 renshe.yaml 里的名字", en="Its name in renshe.yaml"))
    who = gr.Dropdown(label=say(zh="由谁回答", en="Who answers for it"), elem_id="bots-run-who")
    done = gr.Button(say(zh="换上", en="Use it"), elem_id="bots-run-save")
    common.epoch.change(partial(_run_choices, common), outputs=[name, who], **QUIET)
    who.focus(partial(_players, common), outputs=who, **QUIET)
    done.click(
        partial(_choose, common),
        [common.seen, common.epoch, name, who],
        [common.notice, common.seen, common.epoch],
        **QUIET,
    )


def _run_choices(common: Common) -> tuple[Any, Any]:
    try:
        names = list(common.desk.file.read().personas)
    except RensheError:
        names = []
    first = names[0] if names else None
    return gr.Dropdown(names, value=first), gr.Dropdown(players(common.desk.workshop), value=None)


def _choose(
    common: Common, seen: str, epoch: int, name: str | None, who: str | None
) -> tuple[Any, Any, Any]:
    desk = common.desk
    save = partial(choose, desk.file, seen, desk.workshop, name or "", who or "")
    notice, seen, is_saved = common.save(save, seen)
    return notice, seen, epoch + 1 if is_saved else gr.skip()

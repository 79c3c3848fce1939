"""Lays the tab Bots out, and keeps what it shows up to date while somebody looks at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from bot.studio.bots import html as html
from bot.studio.bots.connection import what_to_enter
from bot.studio.bots.desk import BotDesk, Look
from bot.studio.bots.file_form import file_form
from bot.studio.bots.forms import (
    Common,
    add_form,
    first_form,
    proposed,
    refused,
    renew_form,
    run_form,
)
from bot.studio.bots.plugin_forms import plugin_forms
from trainer.errors import RensheError
from trainer.language import say

TICK = 3.0
"""Seconds between two looks at the bot."""

LIVE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of every event here: not part of an API, and nothing flickers."""


@dataclass
class Shown:
    """The components that follow the bot."""

    card: gr.HTML
    problems: gr.HTML
    buttons: gr.Row
    start: gr.Button
    stop: gr.Button
    restart: gr.Button
    kill: gr.Button
    reload: gr.Button
    first: gr.Column
    desk: gr.Column
    links: gr.HTML
    tiles: gr.HTML
    messages: gr.HTML
    sessions: gr.HTML
    troubles: gr.HTML
    howto: gr.Markdown

    def all(self) -> list[Any]:
        """Return them in the order in which :func:`updates` sends theirs."""
        return list(vars(self).values())


def build_bots(tab: gr.Tab, desk: BotDesk) -> None:
    """Build the tab of a project's bot."""
    timer = gr.Timer(TICK, active=False)
    card = gr.HTML(elem_id="bots-card")
    with gr.Row(elem_id="bots-buttons", visible=False) as buttons:
        start = gr.Button(say(zh="启动", en="Start"), variant="primary", elem_id="bots-start")
        stop = gr.Button(say(zh="停下", en="Stop"), elem_id="bots-stop")
        restart = gr.Button(say(zh="重启", en="Restart"), elem_id="bots-restart")
        reload = gr.Button(say(zh="让它重读设置", en="Reload settings"), elem_id="bots-reload")
        kill = gr.Button(say(zh="强行停下", en="Force stop"), variant="stop", elem_id="bots-kill")
    common = Common(desk, gr.State(""), gr.State(0), gr.HTML(elem_id="bots-notice"))
    problems = gr.HTML(elem_id="bots-problems")
    with gr.Column(visible=False, elem_id="bots-first") as first:
        who = first_form(common)
    with gr.Column(visible=False, elem_id="bots-desk") as inner:
        links, tiles, reveal, messages, sessions, troubles, howto = _desk(common)
    shown = Shown(
        *(card, problems, buttons, start, stop, restart, kill, reload, first, inner),
        *(links, tiles, messages, sessions, troubles, howto),
    )
    _wire(tab, timer, common, shown, reveal, who)


def _desk(common: Common) -> tuple[Any, ...]:
    """Lay out what there is once there is a ``renshe.yaml``."""
    with gr.Tabs(elem_id="bots-tabs"):
        with gr.Tab(say(zh="总览", en="Overview"), id="overview"):
            overview = _overview()
        with gr.Tab(say(zh="连接", en="Connections"), id="connections"):
            _title(say(zh="对面要填什么", en="What to enter on the other side"))
            howto = gr.Markdown(elem_id="bots-howto")
            with gr.Accordion(say(zh="再接一个平台", en="Add a connection"), open=False):
                add_form(common)
            with gr.Accordion(say(zh="换一个 token", en="Replace a token"), open=False):
                renew_form(common)
            with gr.Accordion(say(zh="换谁来回答", en="Change who answers"), open=False):
                run_form(common)
        with gr.Tab(say(zh="插件", en="Plugins"), id="plugins"):
            plugin_forms(common)
        with gr.Tab("renshe.yaml", id="file"):
            file_form(common)
    return *overview, howto


def _overview() -> tuple[Any, ...]:
    _title(say(zh="连接", en="Connections"))
    links = gr.HTML(elem_id="bots-links")
    tiles = gr.HTML(elem_id="bots-tiles")
    _title(say(zh="最近的消息", en="Last messages"))
    reveal = gr.Checkbox(
        False,
        label=say(zh="显示内容", en="Show what was said"),
        info=say(
            zh="这些是别人说的话，他们没想让旁人看到。只在这次打开时显示，不会记住。",
            en="These are other people's words, not meant for bystanders. "
            "They are shown for this visit only.",
        ),
        elem_id="bots-reveal",
    )
    messages = gr.HTML(elem_id="bots-messages")
    _title(say(zh="会话", en="Sessions"))
    sessions = gr.HTML(elem_id="bots-sessions")
    _title(say(zh="最近的问题", en="Problems lately"))
    troubles = gr.HTML(elem_id="bots-troubles")
    return links, tiles, reveal, messages, sessions, troubles


def _title(text: str) -> None:
    gr.HTML(f"<h3>{text}</h3>")


def _wire(
    tab: gr.Tab,
    timer: gr.Timer,
    common: Common,
    shown: Shown,
    reveal: gr.Checkbox,
    who: gr.Dropdown,
) -> None:
    desk, notice = common.desk, common.notice
    look = partial(_look, desk)
    outputs = shown.all()
    tab.select(lambda: gr.Timer(active=True), outputs=timer, **LIVE)
    tab.select(look, reveal, outputs, **LIVE)
    tab.select(partial(_first_seen, desk), common.seen, [common.seen, common.epoch], **LIVE)
    tab.select(partial(proposed, common), who, who, **LIVE)

    def look_away(event: gr.SelectData) -> Any:  # no partial: Gradio reads its annotations
        return gr.Timer(active=event.value == tab.label)

    if isinstance(tab.parent, gr.Tabs):
        tab.parent.select(look_away, None, timer, **LIVE)
    timer.tick(look, reveal, outputs, **LIVE)
    reveal.input(look, reveal, outputs, **LIVE)
    common.epoch.change(look, reveal, outputs, **LIVE)
    actions: list[tuple[gr.Button, Callable[[], str]]] = [
        (shown.start, lambda: _done(desk.process.start)),
        (shown.stop, lambda: _done(desk.process.stop)),
        (shown.kill, lambda: _done(desk.process.kill)),
        (shown.reload, desk.reload),
    ]
    for button, action in actions:
        button.click(partial(_act, desk, action), reveal, [notice, *outputs], **LIVE)
    shown.restart.click(partial(_restart, desk), reveal, [notice, *outputs], **LIVE)


def _done(action: Callable[[], None]) -> str:
    action()
    return ""


def _first_seen(desk: BotDesk, seen: str) -> tuple[Any, Any]:
    """Note the file as it is when the tab is opened for the first time."""
    if seen:
        return gr.skip(), gr.skip()
    try:
        return desk.file.open().digest, 1
    except RensheError:
        return "", 1


def _act(desk: BotDesk, action: Callable[[], str], reveal: bool) -> list[Any]:
    """Do something to the bot; what keeps it from being done is shown."""
    try:
        told = action()
        notice = html.note(told, "good") if told else ""
    except RensheError as error:
        notice = refused(error)
    return [notice, *_look(desk, reveal)]


def _restart(desk: BotDesk, reveal: bool) -> Iterator[list[Any]]:
    yield [html.note(say(zh="正在重启…", en="Restarting…")), *_look(desk, reveal)]
    yield _act(desk, lambda: _done(desk.restart), reveal)


def _look(desk: BotDesk, reveal: bool) -> list[Any]:
    return updates(desk.look(), bool(reveal))


def updates(look: Look, reveal: bool) -> list[Any]:
    """Return what each component of :class:`Shown` becomes, in its order."""
    status, found = look.status, look.view
    is_up, ours = status.is_up, status.ours
    ready = status.presence is not None and status.presence.ready
    failures = found.failures if found else ()
    disabled = look.health.disabled_plugins if look.health else ()
    return [
        html.status_card(status, _names(look), look.health),
        problems(look, reveal),
        gr.Row(visible=look.exists or is_up),
        gr.Button(interactive=look.exists and not is_up),
        gr.Button(interactive=ours and is_up and status.state != "stopping"),
        gr.Button(interactive=ours and status.state == "running"),
        gr.Button(visible=look.is_overdue),
        gr.Button(interactive=is_up and ready and status.state == "running"),
        gr.Column(visible=not look.exists),
        gr.Column(visible=look.exists),
        html.links_table(look.health, status),
        html.tiles(found, look.figures),
        html.messages_list(found, reveal) if found else _nothing(),
        html.sessions_table(found.sessions if found else (), reveal, _default(look)),
        html.troubles_list(look.troubles, failures, disabled, reveal),
        "\n\n".join(what_to_enter(look.config)) if look.config else "",
    ]


def problems(look: Look, reveal: bool) -> str:
    """Return what is wrong now, each with what to do about it."""
    parts = []
    if look.status.state == "died":
        parts.append(html.last_words(look.lines, look.status, reveal))
    if look.faults:
        goes_on = say(
            zh="renshe.yaml 有错；正在运行的机器人照旧", en="renshe.yaml is wrong; the bot goes on"
        )
        wrong = say(zh="renshe.yaml 有错", en="renshe.yaml is wrong")
        parts.append(html.faults_box(look.faults, goes_on if look.status.is_up else wrong))
    if look.store_faults:
        parts.append(html.faults_box(look.store_faults, say(zh="数据库", en="The database")))
    if look.restart:
        names = say(zh="、", en=", ").join(look.restart)
        told = say(
            zh=f"{names} 改过了，重启后才生效", en=f"{names}: the change counts after a restart"
        )
        parts.append(html.note(told, "warn"))
    return "".join(parts)


def _names(look: Look) -> str:
    return say(zh="、", en=", ").join(look.config.personas) if look.config else ""


def _default(look: Look) -> str:
    return next(iter(look.config.personas)) if look.config else "–"


def _nothing() -> str:
    return html.note(say(zh="还没有数据库：第一次启动时会建", en="no database yet"))

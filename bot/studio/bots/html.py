"""The tab Bots as HTML: what the bot and its people say is text here, never markup.

Other people's words are masked unless they are asked for, on the server: what is not
shown is not sent to the browser either.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from html import escape

from bot.event import SessionKey
from bot.studio.bots.health import Figures, Health, Link
from bot.studio.bots.output import Entry
from bot.studio.bots.process import Status
from bot.studio.bots.view import Failure, Message, Session, View
from trainer.errors import Fault
from trainer.language import say

_PLACE = re.compile(r"(group|private|temporary)-(.+)")

_IDS = re.compile(r"((?:group|private|temporary)-|(?:telegram|onebot_v11):)([-\d:]*\d)")


# --- masking ------------------------------------------------------------------------------------


def masked_text(text: str) -> str:
    """Return that something was said, and how long it is."""
    return say(zh=f"●●●●●● {len(text)} 字", en=f"●●●●●● {len(text)} characters")


def masked_name(name: str) -> str:
    """Return a name or a number of which only the end is left."""
    return f"···{name[-2:]}" if name[-2:].isascii() and len(name) > 3 else "···"


def masked_log(text: str) -> str:
    """Return lines of the log with the numbers of people and chats masked."""
    return _IDS.sub(lambda match: match[1] + masked_name(match[2]), text)


def place_name(key: SessionKey, kind: str, reveal: bool) -> str:
    """Return what a session is called on the page: its platform, its kind, its number."""
    match = _PLACE.fullmatch(key.chat)
    kind, chat = (match[1], match[2]) if match else (kind, key.chat)
    kinds = {
        "group": say(zh="群", en="group"),
        "private": say(zh="私聊", en="private chat"),
        "temporary": say(zh="临时会话", en="temporary chat"),
    }
    parts = [chat, *(part for part in (key.thread, key.user) if part)]
    shown = [part if reveal else masked_name(part) for part in parts]
    return " ".join([platform_name(key.platform), kinds.get(kind, ""), " / ".join(shown)])


def platform_name(platform: str) -> str:
    """Return what a platform is called by people."""
    names = {"onebot_v11": "QQ", "telegram": "Telegram", "console": say(zh="终端", en="Terminal")}
    return names.get(platform, platform)


# --- parts of the page --------------------------------------------------------------------------


def faults_box(faults: Iterable[Fault], headline: str = "") -> str:
    """Return faults with their places and fixes."""
    items = "".join(_fault(fault) for fault in faults)
    head = f"<strong>{escape(headline)}</strong>" if headline else ""
    return f'<div class="bots-box bots-bad" role="alert">{head}{items}</div>'


def note(text: str, kind: str = "") -> str:
    """Return a sentence in a box; ``kind`` is ``good``, ``warn``, ``bad`` or nothing."""
    return f'<div class="bots-box bots-{kind or "plain"}" role="status">{escape(text)}</div>'


def status_card(status: Status, names: str, health: Health | None) -> str:
    """Return the card at the top: how the bot is, in one look."""
    kind, head = _state(status, health)
    about = " · ".join(filter(None, [names, _since(status), _whose(status)]))
    return (
        f'<div class="bots-status"><span class="bots-dot bots-{kind}"></span>'
        f"<div><strong>{escape(head)}</strong><span>{escape(about)}</span></div></div>"
    )


def last_words(lines: Sequence[str], status: Status, reveal: bool) -> str:
    """Return how a bot ended that was not told to, with the last lines that it printed."""
    head = say(zh="机器人自己停了", en="The bot ended by itself")
    printed = "\n".join(lines)
    told = escape(printed if reveal else masked_log(printed)) or say(
        zh="（什么也没有说）", en="(it said nothing)"
    )
    return (
        f'<div class="bots-box bots-bad" role="alert"><strong>{head}{_code(status.code)}</strong>'
        f"<pre>{told}</pre></div>"
    )


def links_table(health: Health | None, status: Status) -> str:
    """Return each connection: platform, how, whether it is up and since when."""
    if health is None or not health.links:
        return _empty(_no_links(status))
    return f'<div class="bots-cards">{"".join(_link(link) for link in health.links)}</div>'


def tiles(found: View | None, figures: Figures | None) -> str:
    """Return the numbers: what waits, what was said, what went wrong."""
    names = (
        say(zh="等着回答", en="waiting"),
        say(zh="等着发出", en="to be sent"),
        say(zh="发了没有回音", en="sent, fate unknown"),
        say(zh="没发出去", en="not delivered"),
        say(zh="收到（启动以来）", en="received since start"),
        say(zh="发出（启动以来）", en="sent since start"),
        say(zh="正在答的会话", en="busy sessions"),
        say(zh="模型出错", en="model errors"),
    )
    alarms = (False, False, True, True, False, False, False, True)
    numbers = (*_queue_numbers(found), *_figures_numbers(figures))
    shown = "".join(map(_tile, names, numbers, alarms))
    return f'<div class="bots-tiles">{shown}</div>'


def sessions_table(sessions: Sequence[Session], reveal: bool, default: str = "–") -> str:
    """Return the latest sessions, the youngest first; ``default`` answers where none was chosen."""
    if not sessions:
        return _empty(say(zh="还没有人和它说过话", en="nobody has talked to it yet"))
    head = (
        say(zh="会话", en="Session"),
        say(zh="人设", en="Persona"),
        say(zh="轮", en="Rounds"),
        say(zh="最近", en="Last"),
    )
    rows = [
        (
            place_name(one.key, one.kind, reveal),
            one.persona or default,
            str(one.rounds),
            ago(one.last),
        )
        for one in sessions
    ]
    return _table(head, rows)


def messages_list(found: View, reveal: bool) -> str:
    """Return the last messages, the youngest first."""
    if not found.messages:
        return _empty(say(zh="还没有消息", en="no messages yet"))
    kinds = {str(one.key): one.kind for one in found.sessions}
    items = (_message(one, kinds.get(str(one.session), ""), reveal) for one in found.messages)
    return f'<ol class="bots-messages">{"".join(items)}</ol>'


def troubles_list(
    entries: Sequence[Entry], failures: Sequence[Failure], disabled: Sequence[str], reveal: bool
) -> str:
    """Return what went wrong lately: in the log, on the way out, and with plugins."""
    items = [_trouble(say(zh="插件", en="plugin"), "bad", _disabled(name)) for name in disabled]
    items += [
        _trouble(one.time, _level(one.level), one.text if reveal else masked_log(one.text))
        for one in entries
    ]
    items += [
        _trouble(ago(one.at), "warn", _undelivered(one, reveal)) for one in failures if one.reason
    ]
    if not items:
        return _empty(say(zh="最近没有出错", en="nothing went wrong lately"))
    return f'<ul class="bots-troubles">{"".join(items)}</ul>'


def ago(moment: float) -> str:
    """Return how long ago a moment was, roughly."""
    lapse = _lapse(moment)
    return say(zh=f"{lapse}前", en=f"{lapse} ago") if lapse else say(zh="刚刚", en="just now")


def lasting(moment: float) -> str:
    """Return for how long something is so since a moment, roughly."""
    if lapse := _lapse(moment):
        return say(zh=f"{lapse}了", en=f"for {lapse}")
    return say(zh="不到一分钟", en="for less than a minute")


def _lapse(moment: float) -> str:
    seconds = max(0.0, time.time() - moment)
    for unit, zh, en in ((86400, "天", "d"), (3600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= unit:
            number = int(seconds // unit)
            return say(zh=f"{number} {zh}", en=f"{number} {en}")
    return ""


# ------------------------------------------------------------------------------------------------


def _fault(fault: Fault) -> str:
    place = f"<code>{escape(_short_place(fault))}</code> " if fault.place else ""
    fix = f'<div class="bots-fix">→ {escape(fault.fix)}</div>' if fault.fix else ""
    return f'<div class="bots-fault">{place}{escape(fault.problem)}{fix}</div>'


def _short_place(fault: Fault) -> str:
    """Return the place with the name of the file alone, which is enough on a page."""
    return fault.place.replace(str(fault.path), fault.path.name) if fault.path else fault.place


def _state(status: Status, health: Health | None) -> tuple[str, str]:
    if status.state == "off":
        return "off", say(zh="没有在运行", en="Not running")
    if status.state == "died":
        return "bad", say(zh="停了", en="Stopped by itself")
    if status.state == "starting":
        return "warn", say(zh="正在启动，载入模型…", en="Starting, loading the model…")
    if status.state == "stopping":
        return "warn", say(zh="正在停下，把话说完…", en="Stopping, finishing what it says…")
    if health is not None and health.status != "ok":
        return "warn", say(zh="在运行，有连接没通", en="Running; not every connection is up")
    return "good", say(zh="正在运行", en="Running")


def _since(status: Status) -> str:
    return lasting(status.since) if status.is_up and status.since else ""


def _whose(status: Status) -> str:
    if not status.is_up or status.ours or status.presence is None:
        return ""
    return say(
        zh=f"不是在工作室里启动的（进程 {status.presence.pid}）：看得到、能让它重读设置，"
        "停要在启动它的地方停",
        en=f"not started in the studio (process {status.presence.pid}): it is shown and can be "
        "told to read its settings again; stop it where it was started",
    )


def _code(code: int | None) -> str:
    if code is None:
        return ""
    if code == -9:
        return say(zh="：被系统杀掉了，多半是内存不够", en=": killed, most likely out of memory")
    if code == 0:
        return say(zh="：没有什么可接收的了", en=": there was nothing left to receive")
    return say(zh=f"（退出码 {code}）", en=f" (exit code {code})")


def _no_links(status: Status) -> str:
    if not status.is_up:
        return say(zh="启动之后这里会显示每个连接", en="once started, each connection shows here")
    if status.presence is not None and status.presence.ready and status.presence.port is None:
        return say(
            zh="这个机器人没有开 operation.port，看不到它的连接",
            en="this bot has no operation.port, so its connections cannot be seen",
        )
    return say(zh="还没有连接", en="no connections yet")


def _link(link: Link) -> str:
    kind = "good" if link.up else "bad"
    state = say(zh="连上了", en="connected") if link.up else say(zh="没连上", en="not connected")
    since = f" · {lasting(link.since)}" if link.since else ""
    how = " · ".join(filter(None, [platform_name(link.platform), _transport(link.transport)]))
    detail = f'<div class="bots-detail">{escape(link.detail)}</div>' if link.detail else ""
    return (
        f'<div class="bots-card"><div><span class="bots-dot bots-{kind}"></span>'
        f"<strong>{escape(link.name)}</strong></div>"
        f'<div class="bots-how">{escape(how)}</div>'
        f'<div class="bots-{kind}-text">{state}{escape(since)}</div>{detail}</div>'
    )


def _queue_numbers(found: View | None) -> tuple[int | None, ...]:
    if found is None:
        return (None,) * 4
    queue = found.queue
    return queue.waiting, queue.unsent, queue.unknown, queue.failed


def _figures_numbers(figures: Figures | None) -> tuple[int | None, ...]:
    if figures is None:
        return (None,) * 4
    return figures.received, figures.sent, figures.busy, figures.failed


def _transport(name: str) -> str:
    return {
        "reverse_websocket": say(zh="反向 WebSocket", en="reverse WebSocket"),
        "forward_websocket": say(zh="正向 WebSocket", en="forward WebSocket"),
        "http": "HTTP",
        "polling": say(zh="长轮询", en="long polling"),
        "webhook": "webhook",
    }.get(name, name)


def _tile(label: str, number: int | None, is_bad: bool) -> str:
    shown = "–" if number is None else f"{number:,}"
    kind = " bots-alarm" if is_bad and number else ""
    return f'<div class="bots-tile{kind}"><b>{shown}</b><span>{escape(label)}</span></div>'


def _message(one: Message, kind: str, reveal: bool) -> str:
    who = say(zh="机器人", en="bot") if one.is_ours else one.who
    who = who if reveal or one.is_ours else masked_name(one.who)
    text = one.text if reveal else masked_text(one.text)
    side = "ours" if one.is_ours else "theirs"
    return (
        f'<li class="bots-{side}"><div class="bots-meta"><b>{escape(who)}</b> '
        f"{escape(place_name(one.session, kind, reveal))} · {ago(one.at)}"
        f'<span class="bots-chip bots-chip-{one.state}">{escape(_state_name(one.state))}</span>'
        f'</div><div class="bots-text{"" if reveal else " bots-masked"}">{escape(text)}</div></li>'
    )


def _state_name(state: str) -> str:
    return {
        "accepted": say(zh="等着回答", en="waiting"),
        "done": say(zh="答了", en="answered"),
        "refused": say(zh="太多，没答", en="too much, refused"),
        "pending": say(zh="等着发出", en="to be sent"),
        "unknown": say(zh="没有回音", en="fate unknown"),
        "shown": say(zh="正在说", en="being said"),
        "sent": say(zh="发出了", en="sent"),
        "failed": say(zh="没发出去", en="not delivered"),
    }.get(state, state)


def _trouble(when: str, kind: str, text: str) -> str:
    return f'<li class="bots-{kind}"><time>{escape(when)}</time><div>{escape(text)}</div></li>'


def _level(level: str) -> str:
    return "warn" if level == "WARNING" else "bad"


def _disabled(name: str) -> str:
    return say(
        zh=f"{name} 接连出错，停用了；改好后保存一次它的设置，或重启机器人",
        en=f"{name} failed again and again and was disabled; mend it, then save its settings "
        "or restart the bot",
    )


def _undelivered(one: Failure, reveal: bool) -> str:
    return f"{place_name(one.session, '', reveal)}: {one.reason}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f'<table class="bots-table"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'


def _empty(text: str) -> str:
    return f'<p class="bots-empty">{escape(text)}</p>'

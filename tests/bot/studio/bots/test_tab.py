"""The tab Bots in a browser: from nothing to a bot on QQ that is looked after."""

import asyncio
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")
pytest.importorskip("aiohttp")
pytest.importorskip("playwright.sync_api")

import gradio
from playwright.sync_api import expect

from bot.cli import main
from bot.studio.bots import tab as bots_tab
from bot.studio.bots.process import BotProcess
from bot.studio.workshop import Workshop
from tests.fakes.onebot import QQ
from tests.fakes.onebot_links import connected
from trainer.language import say

ROOT = Path(__file__).parents[4]
EVIL = "hello <img src=x onerror=alert(1)> **there**"
# The studio is asked for before the browser, which is then closed first: a page that looks
# every few seconds complains of a studio that is gone.

SLOW = 30_000
"""Milliseconds for a process to start on a busy machine."""


class Peer:
    """A QQ account at a fake implementation that connects to the bot, in a thread of its own."""

    def __init__(self, address: str, token: str) -> None:
        self.qq = QQ()
        self._address, self._token = address, token
        self._loop = asyncio.new_event_loop()
        self._gone = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=[self._run()])
        self._thread.start()
        assert self._ready.wait(20)

    def do(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        return asyncio.run_coroutine_threadsafe(work(), self._loop).result(20)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._gone.set)
        self._thread.join(20)
        self._loop.close()

    async def _run(self) -> None:
        async with connected(self.qq, self._address, token=self._token):
            self._ready.set()
            await self._gone.wait()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page looks more often, so that a test waits less."""
    monkeypatch.setattr("bot.studio.bots.page.TICK", 1.0)


@pytest.fixture
def project(workshop: Workshop) -> Iterator[Workshop]:
    """A project with one persona, in which a bot that is left over is killed."""
    (workshop.root / "personas").mkdir()
    shutil.copy(ROOT / "tests/data/personas/good.yaml", workshop.root / "personas/snow.yaml")
    yield workshop
    presence = BotProcess(workshop).status().presence
    if presence is not None:
        os.kill(presence.pid, signal.SIGKILL)


def opened(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.get_by_role("tab", name="Bots").click()


def put_online(tab: Any, who: str = "") -> str:
    """Fill in the first form, with ``who`` if nobody is proposed; returns the token."""
    if who:
        tab.locator("#bots-who input").click()
        tab.get_by_role("option", name=re.compile(who)).click()
    token = tab.locator("#bots-first-token input, #bots-first-token textarea")
    tab.locator("#bots-first").get_by_role("button", name="Make a token").click()
    expect(token).to_have_value(re.compile(r"^[0-9a-f]{32}$"))
    made = str(token.input_value())
    tab.locator("#bots-first").get_by_role("button", name="More").click()
    tab.locator("#bots-first-port input").fill("0")
    tab.locator("#bots-first-save").click()
    expect(tab.locator("#bots-start")).to_be_enabled()
    return made


@pytest.mark.browser
def test_from_nothing_to_a_bot_on_qq(studio_address: str, tab: Any, project: Workshop) -> None:
    opened(tab, studio_address)
    assert tab.locator("#bots-who input").input_value() == "", "there is no run to propose"
    token = put_online(tab, "snow")
    assert token not in tab.content(), "the token is shown no more"
    assert token not in (project.root / "renshe.yaml").read_text("utf-8")

    tab.locator("#bots-start").click()
    card = tab.locator("#bots-card")
    expect(card).to_contain_text("Running", timeout=SLOW)
    links = tab.locator("#bots-links")
    expect(links).to_contain_text("nobody has connected")
    address = str(links.locator("strong").inner_text())

    peer = Peer(address, token)
    try:
        expect(links).to_contain_text("QQ 10001")
        expect(links).to_contain_text("connected · for less than a minute")
        peer.do(lambda: peer.qq.hear(EVIL, user=20002))
        assert peer.do(lambda: peer.qq.until_said(1, 15))[0].text == EVIL
        looked_after(tab)
        change_a_plugin(tab, peer)
        tab.get_by_role("tab", name="Overview").click()
        tab.locator("#bots-stop").click()
        expect(card).to_contain_text("Not running", timeout=SLOW)
    finally:
        peer.close()
    assert BotProcess(project).status().state == "off"


@pytest.mark.browser
def test_the_run_that_was_just_tuned_answers_on_qq(
    studio_address: str, tab: Any, project: Workshop, tiny_base_folder: Path
) -> None:
    settings = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    where = (str(project.persona_file("snow")), *base, "--out", str(project.run_folder("first")))
    assert main(["train", *where, *settings]) == 0
    opened(tab, studio_address)
    expect(tab.locator("#bots-who input")).to_have_value("first")
    token = put_online(tab)
    tab.locator("#bots-start").click()
    expect(tab.locator("#bots-card")).to_contain_text("Running", timeout=SLOW)
    peer = Peer(str(tab.locator("#bots-links strong").inner_text()), token)
    try:
        peer.do(lambda: peer.qq.hear("who are you?", user=20002))
        assert peer.do(lambda: peer.qq.until_said(1, 15))[0].text
        tab.locator("#bots-stop").click()
        expect(tab.locator("#bots-card")).to_contain_text("Not running", timeout=SLOW)
    finally:
        peer.close()


def looked_after(tab: Any) -> None:
    """What was said is counted and masked; asked for, it is shown as text."""
    received = tab.locator(".bots-tile", has_text="received since start").locator("b")
    expect(received).to_have_text("1")
    messages = tab.locator("#bots-messages")
    expect(messages).to_contain_text(f"{len(EVIL)} characters")
    assert "hello" not in tab.content() and "20002" not in tab.content()
    tab.locator("#bots-reveal input").check()
    expect(messages.locator(".bots-theirs .bots-text")).to_have_text(EVIL)
    assert messages.locator("img").count() == 0 and messages.locator("strong").count() == 0
    tab.locator("#bots-reveal input").uncheck()
    expect(messages).not_to_contain_text("hello")


def change_a_plugin(tab: Any, peer: Peer) -> None:
    """A wrong value is named and stays typed; a right one counts at once."""
    tab.get_by_role("tab", name="Plugins").click()
    plugin = tab.locator("#bots-plugin-remember")
    plugin.get_by_role("button", name="Settings").click()
    length = tab.locator("#bots-plugin-remember-length input")
    notice = tab.locator("#bots-notice")
    length.fill("5")
    tab.locator("#bots-plugin-remember-save").click()
    expect(notice).to_contain_text("length: ")
    expect(length).to_have_value("5")
    length.fill("10")
    tab.locator("#bots-plugin-remember-save").click()
    expect(notice).to_contain_text("the bot uses it now", timeout=SLOW)
    peer.do(lambda: peer.qq.hear("/remember I like warm tea", user=20002))
    assert "10 characters at most" in peer.do(lambda: peer.qq.until_said(2, 15))[1].text


@pytest.mark.browser
def test_a_file_that_somebody_else_changes(
    studio_address: str, tab: Any, project: Workshop
) -> None:
    path = project.root / "renshe.yaml"
    good = (
        "personas: {snow: {echo: {persona: personas/snow.yaml}}}  # mine\n"
        "adapters: {onebot_v11: [{port: 0}]}\n"
    )
    path.write_text(good, encoding="utf-8")
    opened(tab, studio_address)
    tab.get_by_role("tab", name="Plugins").click()
    tab.locator("#bots-plugin-help-on input").uncheck()
    expect(tab.locator("#bots-notice")).to_contain_text("Saved")
    assert "disabled" in path.read_text("utf-8")
    tab.get_by_role("tab", name="renshe.yaml").click()
    editor = tab.locator("#bots-file .cm-content")
    expect(editor).to_contain_text("disabled")  # it follows what the other form saved

    path.write_text(good + "oops: 1\n", encoding="utf-8")
    problems = tab.locator("#bots-problems")
    expect(problems).to_contain_text("renshe.yaml:3:1")
    expect(problems).to_contain_text("unknown key oops")
    editor.press("Control+End")
    tab.keyboard.insert_text("owners: []")
    tab.locator("#bots-file-save").click()
    expect(tab.locator("#bots-notice")).to_contain_text("changed elsewhere")
    expect(editor).to_contain_text("owners: []")
    assert path.read_text("utf-8") == good + "oops: 1\n"
    tab.locator("#bots-file-again").click()
    expect(editor).to_contain_text("oops: 1")
    editor.press("Control+a")
    tab.keyboard.insert_text(good)
    expect(editor).not_to_contain_text("oops")
    tab.wait_for_timeout(500)  # the editor hands on what was typed a moment later
    tab.locator("#bots-file-save").click()
    expect(tab.locator("#bots-notice")).to_contain_text("Saved")
    expect(problems).not_to_contain_text("oops", timeout=15_000)
    drafts = list((project.own / "bot" / "versions").glob("*draft.yaml"))
    assert "owners: []" in drafts[0].read_text("utf-8"), "what was typed is kept"


def test_without_the_bots_libraries_it_says_how_to_get_them(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.commands.extra.find_spec", lambda name: None)
    with gradio.Blocks(analytics_enabled=False) as page, gradio.Tab("Bots") as tab:
        bots_tab.build(page, tab, workshop, None, gradio.State({}))  # type: ignore[arg-type]
    texts = [block.value for block in page.blocks.values() if isinstance(block, gradio.Markdown)]
    assert len(texts) == 1 and "aiohttp" in texts[0] and "pip install 'renshe[bot]'" in texts[0]
    assert bots_tab.title() == say(zh="机器人", en="Bots")

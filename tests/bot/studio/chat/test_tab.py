import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.config import Limits
from bot.studio.app import css, studio_page
from bot.studio.jobs import Jobs
from bot.studio.page import theme
from bot.studio.serve import Door, serve
from bot.studio.visitors import Visitors
from bot.studio.workshop import Workshop
from tests.bot.studio.conftest import CHROMIUM, FLAGS
from tests.bot.studio.scripted import PERSONA, Scripted, pretend
from trainer.persona import load_persona

ROOT = Path(__file__).parents[4]
TEXT = """# mine
name: Robin
language: en
summary: Robin is a friendly stranger.
greeting: Hello there.
facts:
  - {id: name, ask: [Who are you?], answer: [Robin.], expect: Robin}
leaks: [language model]
fallback: [Pardon?]
"""


class Tab:
    """The tab Chat as someone uses it."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        page.set_default_timeout(20_000)
        if page.url != address:
            page.goto(address)
        self.box = page.locator("#chat-message textarea")
        self.box.wait_for()

    def say(self, text: str) -> None:
        self.box.fill(text)
        self.page.keyboard.press("Enter")

    def ask(self, text: str, reply: str, column: int = 0) -> None:
        """Say something and wait until the reply has ended."""
        self.say(text)
        self.sees(text, column)
        self.column(column).get_by_text(reply, exact=True).last.wait_for()
        self.ends()

    def ends(self) -> None:
        self.page.locator("#chat-message .submit-button").wait_for()

    def sees(self, text: str, column: int = 0) -> None:
        self.column(column).get_by_text(text, exact=True).wait_for()

    def column(self, number: int = 0) -> Any:
        return self.page.locator(".chat-column").nth(number)

    def texts(self, column: int = 0) -> list[str]:
        found = self.column(column).locator(".message-content .md").all_inner_texts()
        return [text.replace("\u2060", "") for text in found]

    def choose(self, label: str) -> None:
        """Let one more speaker answer."""
        self.page.locator("#chat-speakers input").click()
        self.page.get_by_role("option", name=label, exact=True).click()
        self.page.keyboard.press("Escape")

    def warned(self, text: str) -> None:
        toast = self.page.locator(".toast-body", has_text=text).first
        toast.wait_for()
        toast.get_by_role("button").last.click()


@pytest.fixture
def studio(
    workshop: Workshop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., tuple[str, Scripted]]]:
    """Serve a studio in which runs say what they are told to."""
    opened: list[Any] = []

    def serving(limits: Limits | None = None, **says: str | Exception) -> tuple[str, Scripted]:
        models = Scripted(workshop, **says)
        models.loaded = set(says)
        monkeypatch.setattr("bot.studio.chat.desk.Models", lambda _workshop: models)
        monkeypatch.setattr("bot.studio.chat.desk.Visitors", lambda: Visitors(limits))
        opened.append(studio_page(workshop, jobs))
        return serve(opened[-1], Door(port=0), theme=theme(), css=css()), models

    yield serving
    for page in opened:
        page.close(verbose=False)


@pytest.fixture
def robin(workshop: Workshop) -> Path:
    """The persona file of the run ``a``."""
    path = workshop.persona_file("robin")
    path.write_text(TEXT, encoding="utf-8")
    pretend(workshop, "a", load_persona(path))
    return path


@pytest.mark.browser
def test_a_talk_from_the_greeting_to_an_undo(studio: Any, tab: Any, robin: Path) -> None:
    address, models = studio(a="you said {} and that is all")
    chat = Tab(tab, address)
    chat.page.get_by_text("Hello there.", exact=True).wait_for()
    chat.page.get_by_text("Who are you?", exact=True).click()
    chat.sees("you said Who are you? and that is all")
    chat.ends()
    chat.box.fill("two")
    chat.page.keyboard.press("Shift+Enter")
    chat.page.keyboard.type("lines <b>*")
    chat.page.keyboard.press("Enter")
    chat.page.wait_for_function("document.body.innerText.includes('lines <\u2060b>* and')")
    chat.ends()
    assert chat.texts()[2] == "two\nlines <b>*"
    assert models.heard[1][1][-1] == "two\nlines <b>*"
    # Retry.
    models.says["a"] = "differently"
    chat.page.get_by_label("重试").click()
    chat.sees("differently")
    chat.ends()
    assert models.heard[2][1] == models.heard[1][1] and models.heard[2][2].temperature > 0
    # The last message reworded in place.
    models.says["a"] = "anew"
    chat.page.get_by_label("编辑").nth(2).click()
    chat.column().locator("textarea").fill("three")
    chat.page.get_by_label("发送").first.click()
    chat.sees("anew")
    chat.ends()
    assert chat.texts()[2:] == ["three", "anew"]
    # Undo puts the message back where it was written, before what stands there.
    chat.box.fill("and more")
    chat.page.get_by_label("撤销").click()
    chat.page.wait_for_function(
        "document.querySelector('#chat-message textarea').value === 'three\\nand more'"
    )
    assert len(chat.texts()) == 2
    # It is all there after a reload, and in no other browser.
    chat.page.reload()
    chat.sees("you said Who are you? and that is all")
    with chat.page.context.browser.new_context() as other:
        stranger = other.new_page()
        stranger.goto(address)
        stranger.get_by_text("Hello there.", exact=True).wait_for()
        assert stranger.locator("#chat-list label").count() == 0
        kept = chat.page.evaluate("Object.keys(localStorage).join()")
        assert "renshe-studio" in kept
    chat.page.get_by_role("button", name="New chat").click()
    chat.page.get_by_text("Hello there.", exact=True).wait_for()
    chat.ask("something else", "anew")
    assert chat.page.locator("#chat-list label").count() == 2
    chat.page.get_by_role("button", name="Delete this chat").click()
    chat.page.get_by_role("button", name="Really delete").click()
    chat.page.wait_for_function("document.querySelectorAll('#chat-list label').length === 1")
    chat.page.locator("#chat-list label").click()
    chat.sees("Who are you?")


@pytest.mark.browser
def test_side_by_side_stopped_put_right_and_written_into_the_persona(
    studio: Any, tab: Any, robin: Path
) -> None:
    address, models = studio(a="I am a language model", base_a=" ".join(["word"] * 60))
    models.persona_of_all = load_persona(robin)
    chat = Tab(tab, address)
    chat.choose("base:a")
    tab.wait_for_function("document.querySelectorAll('.chat-column').length === 2")
    models.before_word = lambda: time.sleep(0.1)
    heights = """[...document.querySelectorAll('.chat-column, #chat-message')].map(part => {
        const box = part.getBoundingClientRect();
        return [box.left, box.top, box.width, box.height].join();
    })"""
    chat.say("who are you?")
    chat.column(1).get_by_text(re.compile("word word")).wait_for()
    before = tab.evaluate(heights)
    chat.sees("Pardon?")
    tab.locator("#chat-message .stop-button").click()
    chat.ends()
    assert tab.evaluate(heights) == before, "the page moved while a reply grew"
    assert 2 < len(chat.texts(1)[1].split()) < 60
    chat.column(1).get_by_text("stopped", exact=True).wait_for()
    chat.column(0).get_by_text("leak guard: drawn again 2×, fallback line").wait_for()
    # What should it have said?
    models.before_word = lambda: None
    chat.ask("and now?", "Pardon?")
    chat.column(0).get_by_label("编辑").nth(1).click()
    chat.column(0).locator("textarea:visible").fill("I am Robin.")
    chat.page.get_by_label("发送").first.click()
    chat.sees("I am Robin.")
    chat.column(0).get_by_label("踩", exact=True).last.click()
    tab.locator("#chat-correct textarea").fill("Still Robin.")
    tab.get_by_role("button", name="Note it for review").click()
    chat.sees("Still Robin.")
    assert robin.read_text("utf-8") == TEXT
    # It was reviewed: the second with the history as it was put right, the first dropped.
    tab.get_by_role("button", name="Examples to review (2)").click()
    tab.get_by_role("button", name="Drop it").click()
    tab.get_by_text("Examples to review (1)").wait_for()
    tab.locator("#chat-review .quoted", has_text="I am Robin.").wait_for()
    tab.get_by_label("It should say").fill("Still Robin!")
    robin.rename(robin.with_suffix(".away"))
    tab.get_by_role("button", name="Write it into the persona").click()
    tab.get_by_text("no persona file is called Robin").wait_for()
    robin.with_suffix(".away").rename(robin)
    tab.get_by_role("button", name="Write it into the persona").click()
    tab.get_by_text("Examples to review (0)").wait_for()
    (dialogue,) = load_persona(robin).dialogues
    said = ["who are you?", "I am Robin.", "and now?", "Still Robin!"]
    assert [turn.text for turn in dialogue] == said
    assert robin.read_text("utf-8").startswith(TEXT)


@pytest.mark.browser
def test_what_cannot_be_answered_is_told_and_nothing_is_lost(
    studio: Any, tab: Any, workshop: Workshop
) -> None:
    from trainer.errors import BaseModelError

    address, models = studio(
        Limits(per_user=2), a=BaseModelError("there is no base", fix="install it"), b="fine"
    )
    models.loaded = {"b"}
    tab.goto(address)
    tab.get_by_text("There is nobody to talk to yet").wait_for()
    pretend(workshop, "b", PERSONA)
    pretend(workshop, "a", PERSONA)
    tab.get_by_role("button", name="Write a persona").click()
    tab.get_by_role("tab", name="Persona", selected=True).wait_for()
    tab.get_by_role("tab", name="Chat").click()
    chat = Tab(tab, address)
    tab.set_viewport_size({"width": 375, "height": 700})
    chat.choose("tuned:b")
    chat.say("hello")
    chat.column(0).get_by_text("⚠ there is no base").wait_for()
    chat.sees("fine", 1)
    chat.ends()
    tops = [chat.column(number).bounding_box() for number in (0, 1)]
    assert tops[1]["y"] >= tops[0]["y"] + tops[0]["height"], "on a phone they are stacked"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375
    shutil.rmtree(workshop.run_folder("a"))
    chat.ask("again", "fine", 1)
    # The limit.
    chat.say("and again")
    chat.warned("take a short rest")
    tab.wait_for_timeout(500)  # what comes after the refusal has come
    assert chat.box.input_value() == "and again"
    chat.box.fill("")
    chat.say(" ")
    chat.warned("say something")


@pytest.mark.browser
def test_two_visitors_at_once_both_see_their_reply_grow(studio: Any, tab: Any, robin: Path) -> None:
    address, models = studio(a=" ".join("abcdefghijklmnopqrstuvwxyz"))
    models.before_word = lambda: time.sleep(0.1)
    mine = Tab(tab, address)
    with tab.context.browser.new_context() as other:
        theirs = Tab(other.new_page(), address)
        mine.say("one")
        theirs.say("two")
        half = re.compile(r"^a b c\b.*[^z]$")
        mine.column().get_by_text(half).wait_for()
        theirs.column().get_by_text(half).wait_for()
        assert not mine.texts()[1].endswith("z")
        for each in (mine, theirs):
            each.sees(" ".join("abcdefghijklmnopqrstuvwxyz"))
            each.ends()
        # Another chat is looked at while this one is answered, and finds it whole afterwards.
        mine.say("three")
        mine.column().get_by_text("a b c d", exact=False).last.wait_for()
        tab.get_by_role("button", name="New chat").click()
        tab.get_by_text("Hello there.", exact=True).wait_for()
        time.sleep(1)
        assert mine.texts() == []
        deadline = time.monotonic() + 10
        while len(models.heard) < 3 and time.monotonic() < deadline:
            threading.Event().wait(0.1)
        tab.locator("#chat-list label").click()
        mine.column().get_by_text("three", exact=True).wait_for()


@pytest.mark.browser
def test_a_server_that_is_killed_while_it_answers_loses_nothing(
    robin: Path, workshop: Workshop
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = f"http://127.0.0.1:{port}/"
    # A page of its own: the console may complain of a server that is gone.
    with sync_api.sync_playwright() as playwright, _serving(workshop, port) as server:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        chat = Tab(browser.new_page(locale="zh-CN"), address)
        chat.say("tell me a story")
        chat.column().get_by_text(re.compile("(and ){12}")).wait_for()
        server.kill()
        server.wait()
        with _serving(workshop, port):
            chat.column().get_by_text("cut off", exact=True).wait_for()  # it came back by itself
            told, half = chat.texts()[:2]
            assert told == "tell me a story"
            assert half.startswith("well tell me a story and and") and len(half) < 340
            chat.say("go on")
            chat.column().get_by_text(re.compile("well go on and and")).wait_for()
        browser.close()


@contextmanager
def _serving(workshop: Workshop, port: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve a studio as a process of its own, until it answers and then until the end."""
    command = [sys.executable, "-m", "tests.bot.studio.scripted", str(workshop.root), port]
    server = subprocess.Popen(command, cwd=ROOT)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", int(port))):
                break
            time.sleep(0.1)
        yield server
    finally:
        server.kill()
        server.wait()

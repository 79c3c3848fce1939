import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

gradio = pytest.importorskip("gradio")

from bot.cli import main  # noqa: E402
from bot.config import Limits  # noqa: E402
from bot.studio.chat.remembered import (  # noqa: E402
    Said,
    conversation,
    first_questions,
    remembered,
    to_keep,
)
from bot.studio.page import CSS, chat_page, theme  # noqa: E402
from bot.studio.serve import Door, door, serve  # noqa: E402
from tests.bot.studio.conftest import CHROMIUM, FLAGS  # noqa: E402
from trainer.chat import Message  # noqa: E402
from trainer.errors import RensheError  # noqa: E402
from trainer.language import use  # noqa: E402
from trainer.persona import Persona, load_persona  # noqa: E402

ROOT = Path(__file__).parents[3]
PERSONA = load_persona(ROOT / "personas" / "muxue.yaml")


class Parrot:
    """An engine that says back what it heard and in which round, letter by letter."""

    def __init__(self, persona: Persona = PERSONA) -> None:
        self.persona = persona
        self.rounds = 50
        self.heard: list[list[Message]] = []
        self.pause = 0.02

    def stream(self, messages: Sequence[Message]) -> Iterator[str]:
        self.heard.append(list(messages))
        reply = f"你说了{messages[-1].text}，第{len(messages) // 2 + 1}轮"
        for end in range(1, len(reply) + 1):
            time.sleep(self.pause)
            yield reply[:end]

    def stop(self) -> None:
        pass


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def address(parrot: Parrot) -> Iterator[str]:
    use("zh")
    page = chat_page(parrot)
    yield serve(page, Door(port=0), theme=theme(), css=CSS)
    page.close(verbose=False)


# --- what the engine is given ------------------------------------------------------------------


def said(*rounds: tuple[str, str]) -> list[tuple[str, str]]:
    talk = [*(Said(user=user, bot=bot) for user, bot in rounds), Said(user="好")]
    return [(each.role, each.text) for each in conversation(talk)]


def test_a_history_is_passed_in_turns() -> None:
    assert said(("一", "二")) == [("user", "一"), ("assistant", "二"), ("user", "好")]
    assert said() == [("user", "好")]


def test_a_question_without_an_answer_is_left_out() -> None:
    rounds = ("一", ""), ("二", "三"), ("四", "")
    assert said(*rounds) == [("user", "二"), ("assistant", "三"), ("user", "好")]


@pytest.mark.parametrize(
    "kept",
    [
        None,
        "text",
        {"user": "x"},
        [{"user": "x" * 10_000}],
        [{"user": "", "bot": "y"}],
        [{"user": {"path": "/etc/passwd"}, "bot": "y"}],
        [["a", "b"]],
    ],
)
def test_what_a_browser_hands_back_is_read_with_care(kept: Any) -> None:
    assert remembered(kept) == []


def test_what_is_kept_comes_back_and_is_bounded() -> None:
    rounds = [Said(user=f"q{number}", bot="a") for number in range(80)]
    assert remembered(to_keep(rounds)) == rounds[-50:]
    assert remembered(to_keep([Said(user="q")])) == [Said(user="q")]


def test_a_persona_without_greeting_has_a_page() -> None:
    page = chat_page(Parrot(PERSONA.model_copy(update={"greeting": None})))
    (talk,) = (block for block in page.blocks.values() if isinstance(block, gradio.Chatbot))
    assert not talk.value
    offered = talk.examples or []
    assert [example["text"] for example in offered] == list(first_questions(PERSONA))


# --- over HTTP ---------------------------------------------------------------------------------


def test_a_client_sees_the_reply_grow(address: str, parrot: Parrot) -> None:
    from gradio_client import Client

    client = Client(address, verbose=False, download_files=False)
    parrot.pause = 0.05
    job = client.submit("你好", api_name="/chat")
    reply = job.result(timeout=30)
    assert reply == "你说了你好，第1轮"
    outputs = job.outputs()
    assert len(outputs) > 3 and all(reply.startswith(output) for output in outputs)
    assert client.predict("再来", api_name="/chat") == "你说了再来，第2轮"
    assert [message.text for message in parrot.heard[1]] == ["你好", "你说了你好，第1轮", "再来"]
    other = Client(address, verbose=False, download_files=False)
    assert other.predict("我是谁", api_name="/chat") == "你说了我是谁，第1轮"
    client.close()
    other.close()


def test_a_reply_that_begins_anew_takes_the_place_of_the_former(
    address: str, parrot: Parrot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradio_client import Client

    said = iter([["我是", "我是一", "咱", "咱是沐雪"], ["嗯"], ["我", ""], ["好"]])

    def stream(messages: Sequence[Message]) -> Iterator[str]:
        parrot.heard.append(list(messages))
        yield from next(said)

    monkeypatch.setattr(parrot, "stream", stream)
    client = Client(address, verbose=False, download_files=False)
    assert client.predict("你是谁", api_name="/chat") == "咱是沐雪"
    assert client.predict("真的吗", api_name="/chat") == "嗯"
    assert [message.text for message in parrot.heard[1]] == ["你是谁", "咱是沐雪", "真的吗"]
    # A reply that was taken back leaves no round behind.
    assert client.predict("然后呢", api_name="/chat") == ""
    client.predict("在吗", api_name="/chat")
    said_before = [message.text for message in parrot.heard[3]]
    assert said_before == ["你是谁", "咱是沐雪", "真的吗", "嗯", "在吗"]
    client.close()


def test_a_program_that_asks_too_much_is_told(parrot: Parrot) -> None:
    from gradio_client import Client
    from gradio_client.exceptions import AppError

    page = chat_page(parrot, Limits(per_user=2))
    client = Client(serve(page, Door(port=0), theme=theme()), verbose=False, download_files=False)
    assert client.predict("一", api_name="/chat") and client.predict("二", api_name="/chat")
    with pytest.raises(AppError, match="short rest"):
        client.predict("三", api_name="/chat")
    with pytest.raises(AppError):
        client.predict("字" * 1001, api_name="/chat")
    assert len(parrot.heard) == 2
    client.close()
    page.close(verbose=False)


def test_the_page_has_no_way_to_files_or_to_other_talks(address: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hidden")
    for path in (f"gradio_api/file={secret}", f"gradio_api/file={ROOT / 'pyproject.toml'}"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}{path}")
        assert refused.value.code in (403, 404)
    with urllib.request.urlopen(f"{address}gradio_api/info") as answer:
        named = json.load(answer)["named_endpoints"]
    assert list(named) == ["/chat"]
    with urllib.request.urlopen(f"{address}config") as answer:
        config = json.load(answer)
    takes = {part for one in config["dependencies"] for part in one["inputs"]}
    kinds = {one["type"] for one in config["components"] if one["id"] in takes}
    assert kinds <= {"textbox", "state", "browserstate"}, "files or components can be sent"


def test_the_page_loads_nothing_from_elsewhere(address: str) -> None:
    with urllib.request.urlopen(address) as answer:
        page = answer.read().decode()
    assert PERSONA.name in page
    loaded = re.findall(
        r"""<(?:script|link|img)[^>]*?(?:src|href)=["']?(https?://[^"' >]+)""", page
    )
    # Gradio's page may name a host to connect to sooner; the browser test sees what is asked.
    assert not [url for url in loaded if url.endswith((".js", ".css"))]


def test_a_login_is_asked_for(parrot: Parrot) -> None:
    page = chat_page(parrot)
    place = Door(port=0, login=("me", "secret"))
    address = serve(page, place, theme=theme())
    try:
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{address}config")
        assert refused.value.code == 401
    finally:
        page.close(verbose=False)


def test_a_port_in_use_is_told(address: str, parrot: Parrot) -> None:
    port = int(address.rstrip("/").rpartition(":")[2])
    with pytest.raises(RensheError, match=str(port)) as error:
        serve(chat_page(parrot), Door(port=port), theme=theme())
    assert "--port" in error.value.faults[0].fix


# --- who may come in ---------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_login_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RENSHE_USER", "RENSHE_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("secret\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.1.2.3"])
def test_this_machine_needs_no_password(host: str) -> None:
    assert door(host, 1, None, None) == Door(host, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_other_machines_need_one(host: str, password_file: Path) -> None:
    with pytest.raises(RensheError) as error:
        door(host, 1, None, None)
    assert error.value.faults[0].code == "open-to-all" and "--user" in str(error.value)
    assert door(host, 1, "me", password_file).login == ("me", "secret")


def test_the_login_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RENSHE_USER", "me")
    with pytest.raises(RensheError, match="password"):
        door("127.0.0.1", 1, None, None)
    monkeypatch.setenv("RENSHE_PASSWORD", "secret")
    assert door("0.0.0.0", 1, None, None).login == ("me", "secret")
    monkeypatch.delenv("RENSHE_USER")
    with pytest.raises(RensheError, match="user"):
        door("127.0.0.1", 1, None, None)


def test_a_password_that_others_can_read_is_none(password_file: Path) -> None:
    password_file.chmod(0o644)
    with pytest.raises(RensheError) as error:
        door("0.0.0.0", 1, "me", password_file)
    assert error.value.faults[0].fix == f"chmod 600 {password_file}"
    assert "secret" not in str(error.value)


def test_a_password_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(RensheError, match="cannot read"):
        door("0.0.0.0", 1, "me", tmp_path / "nowhere")


# --- renshe demo -------------------------------------------------------------------------------


def test_an_open_door_is_refused_before_anything_is_loaded(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "bot.engine.tuned", None)
    assert main(["demo", "nowhere", "--host", "0.0.0.0"]) == 2
    assert "0.0.0.0" in capsys.readouterr().err


def test_demo_serves_a_run_until_ctrl_c(tmp_path: Path, tiny_base_folder: Path) -> None:
    from gradio_client import Client

    run = tmp_path / "run"
    good = ROOT / "tests" / "data" / "personas" / "good.yaml"
    settings = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(good), *base, *settings, "--out", str(run)]) == 0
    words = ["--lang", "en", "demo", str(run), "--port", "0", "--no-browser"]
    running = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        # What a shell runs in the background ignores it, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert running.stdout is not None
        found = re.search(r"http://\S+/", running.stdout.readline())
        assert found, running.stderr and running.stderr.read()
        client = Client(found[0], verbose=False, download_files=False)
        assert client.predict("你好", api_name="/chat")
        client.close()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=120)
        assert (running.returncode, out) == (0, "") and "Traceback" not in err
    finally:
        running.kill()


# --- in a browser ------------------------------------------------------------------------------


@pytest.fixture
def browser_page(address: str, tab: Any) -> Any:
    """The page in a browser."""
    tab.goto(address)
    return tab


@pytest.mark.browser
def test_a_visitor_is_greeted_and_answered(
    browser_page: Any, parrot: Parrot, tmp_path: Path
) -> None:
    page = browser_page
    page.get_by_role("heading", name=PERSONA.name).wait_for()
    page.get_by_text(PERSONA.greeting, exact=True).wait_for()
    parrot.pause = 0.1
    page.get_by_placeholder(f"对{PERSONA.name}说点什么").fill("你好呀")
    page.keyboard.press("Enter")
    page.wait_for_function("document.body.innerText.includes('你说了你')")
    growing = page.inner_text("body")
    page.get_by_text("你说了你好呀，第1轮", exact=True).wait_for()
    assert "第1轮" not in growing, "the reply came in one piece"
    page.screenshot(path=str(Path(os.environ.get("RENSHE_SHOTS", tmp_path)) / "chat.png"))


@pytest.mark.browser
def test_a_suggested_question_is_asked_again_and_taken_back(
    browser_page: Any, parrot: Parrot
) -> None:
    page = browser_page
    question = first_questions(PERSONA)[0]
    page.get_by_text(question, exact=True).click()
    page.get_by_text(f"你说了{question}，第1轮", exact=True).wait_for()
    page.get_by_label("重试").click()
    page.wait_for_function("document.body.innerText.includes('第1轮') === false")
    page.get_by_text(f"你说了{question}，第1轮", exact=True).wait_for()
    assert [message.text for message in parrot.heard[1]] == [question]
    page.get_by_label("撤销").click()
    page.get_by_text(f"你说了{question}，第1轮", exact=True).wait_for(state="detached")
    assert page.input_value("textarea") == question


@pytest.mark.browser
def test_a_talk_is_there_after_a_reload_and_in_no_other_browser(
    browser_page: Any, address: str, parrot: Parrot
) -> None:
    page = browser_page
    for number, text in enumerate(("<b>一</b>", "二"), start=1):
        page.fill("textarea", text)
        page.keyboard.press("Enter")
        page.get_by_text(re.compile(f"你说了.*，第{number}轮")).wait_for()
        page.locator("button.submit-button").wait_for()
    page.reload()
    page.get_by_text("你说了二，第2轮", exact=True).wait_for()
    page.fill("textarea", "三")
    page.keyboard.press("Enter")
    page.get_by_text("你说了三，第3轮", exact=True).wait_for()
    with page.context.browser.new_context() as other:
        stranger = other.new_page()
        stranger.goto(address)
        stranger.get_by_text(PERSONA.greeting, exact=True).wait_for()
        assert "第1轮" not in stranger.inner_text("body")
    page.locator("button.submit-button").wait_for()
    kept = page.evaluate("JSON.stringify(localStorage)")
    page.get_by_label("清空对话").click()
    page.get_by_text("你说了三，第3轮", exact=True).wait_for(state="detached")
    # The browser forgets once the server has answered.
    page.wait_for_function("kept => JSON.stringify(localStorage) !== kept", arg=kept)
    page.reload()
    page.get_by_text(PERSONA.greeting, exact=True).wait_for()
    assert "第1轮" not in page.inner_text("body")


@pytest.mark.browser
def test_a_page_that_is_gone_in_the_middle_of_a_reply_goes_on_from_there(
    address: str, parrot: Parrot
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("chromium is not installed")
    parrot.pause = 0.25
    # A page of its own: the console complains of a stream that is cut.
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        page = browser.new_page(locale="zh-CN")
        page.goto(address)
        page.fill("textarea", "一二三四五六七八九十" * 3)
        page.keyboard.press("Enter")
        page.get_by_text(re.compile("^你说了一二三四五六")).wait_for()
        page.reload()
        page.get_by_text(re.compile("^你说了一")).wait_for()
        parrot.pause = 0.0
        page.fill("textarea", "然后呢")
        page.keyboard.press("Enter")
        page.get_by_text("你说了然后呢，第2轮", exact=True).wait_for()
        assert parrot.heard[-1][1].text.startswith("你说了一")
        browser.close()


@pytest.mark.browser
def test_a_visitor_in_a_hurry_is_told_and_keeps_what_was_written(parrot: Parrot, tab: Any) -> None:
    use("zh")
    page = chat_page(parrot, Limits(per_user=1))
    tab.goto(serve(page, Door(port=0), theme=theme(), css=CSS))
    tab.fill("textarea", "一")
    tab.keyboard.press("Enter")
    tab.get_by_text("你说了一，第1轮", exact=True).wait_for()
    tab.locator("button.submit-button").wait_for()
    tab.fill("textarea", "二")
    tab.keyboard.press("Enter")
    tab.get_by_text("说得太快啦").wait_for()
    assert tab.input_value("textarea") == "二" and len(parrot.heard) == 1
    page.close(verbose=False)


@pytest.mark.browser
def test_a_reply_can_be_stopped(browser_page: Any, parrot: Parrot) -> None:
    page = browser_page
    parrot.pause = 0.3
    page.fill("textarea", "说一个很长很长的故事")
    page.keyboard.press("Enter")
    page.wait_for_function("document.body.innerText.includes('你说了说')")
    page.click("button.stop-button")
    page.locator("button.submit-button").wait_for()
    parrot.pause = 0.0
    page.fill("textarea", "然后呢")
    page.keyboard.press("Enter")
    page.get_by_text("你说了然后呢，第2轮", exact=True).wait_for()
    assert "第1轮" not in page.inner_text("body")
    assert parrot.heard[1][1].text.startswith("你说了说")

"""Plugins that misbehave, on a whole bot."""

import asyncio
import json
import logging
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot import bounded
from bot.errors import PluginError
from bot.event import Outgoing
from bot.plugin_host import THREADS
from bot.plugin_loader import Source
from bot.runtime import Runtime
from bot.schedule import seconds_until
from bot.testing import ScriptedEngine, talking
from trainer.errors import RensheError
from trainer.strict_yaml import read_document

pytestmark = pytest.mark.anyio


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.py"
    path.write_text("from bot.plugin import *\nimport asyncio, time\n" + text)
    return path


async def test_a_plugin_that_raises_is_named_and_disabled_and_the_bot_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bad = write(
        tmp_path,
        "bad",
        "@on_message()\nasync def f(event: Event) -> str:\n    raise LookupError('oops')\n",
    )
    async with talking(bad, config={"plugins": {"faults": 2}}) as talk:
        for text in ("a", "b", "c"):
            assert await talk.say(text) == [text]
        assert "plugin bad: f: LookupError\n" in caplog.text and "bad.py" in caplog.text
        assert talk.runtime.plugins.states == {"bad": "LookupError"}
        assert dict(await talk.runtime.status())["bad"] == "LookupError"


async def test_what_people_said_is_not_in_what_is_told_of_a_failure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = "@on_message()\nasync def f(event: Event): raise ValueError(event.text)\n"
    bad = write(tmp_path, "bad", text)
    with caplog.at_level(logging.INFO):
        async with talking(bad, config={"plugins": {"faults": 1}}) as talk:
            await talk.say("my secret")
            states = talk.runtime.plugins.states
    assert states == {"bad": "ValueError"} and "plugin bad: f: ValueError" in caplog.text
    assert "my secret" not in caplog.text


@pytest.mark.parametrize(
    "body",
    [
        "task = asyncio.create_task(asyncio.sleep(9)); task.cancel(); await task",
        "raise SystemExit(3)",
    ],
)
async def test_what_ends_a_task_or_a_program_ends_neither_session_nor_bot(
    tmp_path: Path, body: str
) -> None:
    bad = write(tmp_path, "bad", f"@on_message()\nasync def f(event: Event):\n    {body}\n")
    async with talking(bad, config={"plugins": {"faults": 3}}) as talk:
        for text in ("a", "b", "c", "d"):
            assert await talk.say(text) == [text]
        assert "bad" in {name for name, why in talk.runtime.plugins.states.items() if why}


async def test_a_file_that_exits_is_named(tmp_path: Path) -> None:
    with pytest.raises(RensheError, match="SystemExit"):
        async with talking(write(tmp_path, "bad", "raise SystemExit(3)\n")):
            pass


async def test_failures_count_for_each_function_and_a_full_disk_for_none(tmp_path: Path) -> None:
    text = """
from bot.errors import StoreError

@on_message()
async def good(event: Event) -> None: pass

@on_message()
async def f(event: Event) -> None:
    raise StoreError("full") if event.text == "full" else LookupError("oops")
"""
    mixed = write(tmp_path, "mixed", text)
    async with talking(mixed, config={"plugins": {"faults": 2}}) as talk:
        for _ in range(3):
            await talk.say("full")
        assert talk.runtime.plugins.states == {"mixed": ""}
        for _ in range(2):
            await talk.say("bad")
        assert talk.runtime.plugins.states == {"mixed": "LookupError"}


async def test_success_in_between_forgives(tmp_path: Path) -> None:
    moody = write(
        tmp_path,
        "moody",
        "@on_message(block=True)\ndef f(event: Event) -> str:\n"
        "    if event.text == 'bad': raise LookupError\n    return 'good'\n",
    )
    async with talking(moody, config={"plugins": {"faults": 2}}) as talk:
        for _ in range(3):
            assert await talk.say("bad") == ["bad"]
            assert await talk.say("hm") == ["good"]


@pytest.mark.parametrize(
    "body", ["async def f(): await asyncio.sleep(60)", "def f(): time.sleep(1)"]
)
async def test_a_plugin_that_hangs_is_left_behind(
    tmp_path: Path, body: str, caplog: pytest.LogCaptureFixture
) -> None:
    slow = write(tmp_path, "slow", f"@on_command('slow')\n{body}\n")
    async with talking(slow, config={"plugins": {"timeout": 0.05}}) as talk:
        assert await talk.say("/slow") == ["That command failed; it was noted."]
        assert "plugin slow: f: it took too long" in caplog.text
        assert await talk.say("hi") == ["hi"]


async def test_calls_that_never_return_hold_neither_others_nor_a_reload_nor_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # More of them than the default executor has threads.
    stuck = write(
        tmp_path,
        "stuck",
        "import threading\n@on_command('stuck')\ndef stick(): threading.Event().wait()\n",
    )
    fine = write(tmp_path, "fine", "@on_command('fine')\ndef f() -> str: return 'fine'\n")
    limits = {"per_user": 1000, "overall": 1000}
    config = {"plugins": {"timeout": 0.3, "faults": 1000}, "limits": limits}
    async with talking(stuck, fine, config=config) as talk:
        calls = [talk.say("/stuck", chat=f"c{number}") for number in range(40)]
        await asyncio.gather(*calls)
        assert caplog.text.count("plugin stuck: stick: it took too long") == 40
        held = [one for one in threading.enumerate() if one.name == "call stick" and one.is_alive()]
        assert len(held) == THREADS and all(one.daemon for one in held)
        assert await talk.say("/fine") == ["fine"]
        await asyncio.wait_for(talk.runtime.reload(talk.runtime.config, None), 10)
        assert await talk.say("/fine") == ["fine"]
        began = time.monotonic()
    assert time.monotonic() - began < 10


STUBBORN = """
@on_command("x")
async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

@every(0.01)
async def timer() -> None:
    await stubborn()
"""


async def test_one_that_will_not_end_is_run_no_further(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded, "GRACE", 0.1)
    plugin = write(tmp_path, "stubborn", STUBBORN)
    began = time.monotonic()
    async with talking(plugin, config={"plugins": {"timeout": 0.1}}) as talk:
        assert await talk.say("/x") == ["That command failed; it was noted."]
        assert await talk.say("hi") == ["hi"]
    assert time.monotonic() - began < 5


async def test_a_reload_in_the_middle_of_a_message_leaves_its_hooks_their_settings(
    tmp_path: Path,
) -> None:
    text = """
class Own(Settings):
    word: str

@before_send
async def hold(reply: Reply) -> None:
    await asyncio.sleep(0.3)

@before_send
async def censor(reply: Reply, settings: Own) -> Reply:
    return Reply(reply.text.replace(settings.word, "*"))
"""
    settings = {"own": {"word": "damn"}}
    async with talking(write(tmp_path, "own", text), settings=settings) as talk:
        saying = asyncio.create_task(talk.say("damn it"))
        await asyncio.sleep(0.1)
        document, _ = read_document(json.dumps({"plugins": {"settings": settings}}), None)
        await talk.runtime.reload(talk.runtime.config, document)
        assert await saying == ["* it"]


async def test_the_failure_that_ends_a_timer_is_told_as_well(tmp_path: Path) -> None:
    text = """
told = []

@every(0.01)
async def timer() -> None:
    raise LookupError

@on_error
async def hear(problem: Problem) -> None:
    await asyncio.sleep(0.01)
    told.append(problem)

@on_command("told")
async def tell() -> str:
    return str(len(told))
"""
    failing = text.partition("@on_error")[0]
    hearing = "told = []\n\n@on_error" + text.partition("@on_error")[2]
    files = (write(tmp_path, "failing", failing), write(tmp_path, "hearing", hearing))
    async with talking(*files, config={"plugins": {"faults": 3}}) as talk:
        await asyncio.sleep(0.4)
        assert talk.runtime.plugins.states["failing"] == "LookupError"
        assert await talk.say("/told") == ["3"]


async def test_a_function_that_stops_an_iteration_is_a_failure(tmp_path: Path) -> None:
    bad = write(tmp_path, "bad", "@on_command('x')\ndef f(): next(iter([]))\n")
    async with talking(bad) as talk:
        assert await talk.say("/x") == ["That command failed; it was noted."]


async def test_a_file_that_hangs_when_it_is_read_is_named_and_the_rest_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "clock", TIMER.format(version="one"))
    other = write(tmp_path, "other", TIMER.format(version="two").replace("version", "other"))
    async with talking(path, other, config={"plugins": {"timeout": 0.3}}) as talk:
        path.write_text("import threading\nthreading.Event().wait()\n")
        await talk.runtime.reload(talk.runtime.config, None)
        assert "clock.py: plugin clock was not read within 0.3 s" in caplog.text
        assert await talk.say("/version") == ["one"] and await talk.say("/other") == ["two"]


async def test_a_wrong_setting_keeps_what_ran(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = """
class Own(Settings):
    number: int = 1

@on_command("own")
async def own(settings: Own) -> str:
    return str(settings.number)
"""
    async with talking(write(tmp_path, "own", text), settings={"own": {"number": 7}}) as talk:
        wrong, _ = read_document("plugins: {settings: {own: {nubmer: 8}}}", None)
        await talk.runtime.reload(talk.runtime.config, wrong)
        assert "nubmer" in caplog.text and await talk.say("/own") == ["7"]
        right, _ = read_document("plugins: {settings: {own: {number: 8}}}", None)
        await talk.runtime.reload(talk.runtime.config, right)
        assert await talk.say("/own") == ["8"]


async def test_a_folder_that_is_gone_keeps_what_ran(tmp_path: Path) -> None:
    plugin = write(tmp_path, "own", "@on_command('own')\nasync def own() -> str: return 'own'\n")
    async with talking(plugin) as talk:
        find = talk.runtime.plugins._find

        def gone(folder: Path | None) -> list[Source]:
            if folder is not None:
                raise PluginError("there is no such plugins folder", path=folder)
            return []

        talk.runtime.plugins._find = gone
        changed = talk.runtime.config.plugins.model_copy(update={"folder": tmp_path / "gone"})
        config = talk.runtime.config.model_copy(update={"plugins": changed})
        await talk.runtime.reload(config, None)
        assert talk.runtime.faults and await talk.say("/own") == ["own"]
        talk.runtime.plugins._find = find
        disabled = changed.model_copy(update={"folder": None, "disabled": ("own",)})
        await talk.runtime.reload(config.model_copy(update={"plugins": disabled}), None)
        assert (await talk.say("/own"))[0].startswith("There is no command")


async def test_what_a_command_began_before_it_failed_is_undone(tmp_path: Path) -> None:
    text = "@on_command('x')\nasync def f(session: Session): session.reset(); raise LookupError\n"
    async with talking(write(tmp_path, "half", text)) as talk:
        await talk.say("hi")
        await talk.say("/x")
        assert len(await talk.runtime.store.history(talk.session(), 5)) == 1


async def test_hooks_change_what_passes_in_order(tmp_path: Path) -> None:
    text = """
@before_prompt
async def ask(prompt: Prompt) -> None:
    prompt.question += " (please)"

@after_reply
async def answer(said: Said) -> str:
    return said.text.upper()

@before_send
def sign(reply: Reply) -> Reply:
    return Reply(reply.text + " -R")

@after_sent
async def note(message: Outgoing, outcome: Outcome, storage: Storage) -> None:
    await storage.put("last", [message.text, type(outcome).__name__])
"""
    async with talking(write(tmp_path, "hooks", text)) as talk:
        assert await talk.say("tea") == ["TEA (PLEASE) -R"]
        assert await talk.runtime.store.get("hooks", "", "last") == '["TEA (PLEASE) -R", "Sent"]'
        (round,) = await talk.runtime.store.history(talk.session(), 1)
        assert (round.user, round.assistant) == ("tea", "TEA (PLEASE)")


async def test_messages_pass_by_priority_until_one_blocks(tmp_path: Path) -> None:
    text = """
@on_message(priority=2, block=True)
def late(event: Event) -> str | None:
    return "late" if event.text == "stop" else None

@on_message(priority=1)
def early() -> str:
    return "early"

@on_message(priority=3)
def never() -> str:
    return "third"
"""
    async with talking(write(tmp_path, "order", text)) as talk:
        assert await talk.say("stop") == ["early", "late"]
        assert await talk.say("go") == ["early", "third", "go"]


async def test_a_plugin_may_hear_what_is_not_meant_for_the_bot(tmp_path: Path) -> None:
    text = """
@on_message(unmeant=True)
def hear(event: Event) -> str | None:
    return "bless you" if event.text == "achoo" else None
"""
    async with talking(write(tmp_path, "ears", text)) as talk:
        assert await talk.say("achoo", chat="g", kind="group") == ["bless you"]
        assert await talk.say("hm", chat="g", kind="group") == []


async def test_on_error_hears_of_engines_and_plugins(tmp_path: Path) -> None:
    text = """
@on_error
async def note(problem: Problem, storage: Storage) -> None:
    await storage.put(problem.where, str(problem.error))
    raise LookupError("in the handler itself")

@on_command("x")
def fail() -> None:
    raise LookupError("first")
"""
    async with talking(write(tmp_path, "nurse", text)) as talk:
        await talk.say("/x")
        assert await talk.runtime.store.get("nurse", "", "nurse") == '"first"'


TIMER = """
@every(0.01)
async def tick(storage: Storage) -> None:
    await storage.put("tick", (await storage.get("tick") or 0) + 1)

@on_command("version")
def version() -> str:
    return "{version}"
"""


async def test_a_reload_leaves_no_timer_behind_and_takes_the_new_code(tmp_path: Path) -> None:
    path = write(tmp_path, "clock", TIMER.format(version="one"))
    async with talking(path) as talk:
        runtime = talk.runtime
        before = {task for task in asyncio.all_tasks() if "clock" in task.get_name()}
        assert len(before) == 1 and await talk.say("/version") == ["one"]
        write(tmp_path, "clock", TIMER.format(version="two"))
        await runtime.reload(runtime.config, None)
        await asyncio.sleep(0.05)
        after = {task for task in asyncio.all_tasks() if "clock" in task.get_name()}
        assert len(after) == 1 and not after & before
        assert await talk.say("/version") == ["two"]
        assert int(await runtime.store.get("clock", "", "tick") or 0) > 0
    assert not [task for task in asyncio.all_tasks() if "clock" in task.get_name()]


async def test_a_reload_that_comes_while_it_starts_starts_no_timer_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, reloads = Runtime._start, []

    async def hurried(runtime: Runtime) -> None:
        reloads.append(asyncio.create_task(runtime.reload(runtime.config, None)))
        await start(runtime)
        await asyncio.sleep(0.2)

    monkeypatch.setattr(Runtime, "_start", hurried)
    async with talking(write(tmp_path, "clock", TIMER.format(version="one"))):
        await reloads[0]
        assert len([one for one in asyncio.all_tasks() if "clock" in one.get_name()]) == 1


async def test_a_reload_that_fails_keeps_what_ran(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path, "clock", TIMER.format(version="one"))
    async with talking(path) as talk:
        path.write_text("def broken(:")
        await talk.runtime.reload(talk.runtime.config, None)
        assert "clock.py:1: plugin clock: invalid syntax" in caplog.text
        assert await talk.say("/version") == ["one"]
        assert len([task for task in asyncio.all_tasks() if "clock" in task.get_name()]) == 1


async def test_a_reload_takes_triggers_and_says_what_needs_a_restart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with talking() as talk:
        config = talk.runtime.config
        changed = config.model_copy(
            update={
                "triggers": config.triggers.model_copy(update={"random": 1.0}),
                "limits": config.limits.model_copy(update={"per_user": 1}),
            }
        )
        assert await talk.say("hm", chat="g", kind="group") == []
        await talk.runtime.reload(changed, None)
        assert await talk.say("hm", chat="g", kind="group") == ["hm"]
        assert "limits: the change counts from the next start" in caplog.text
        assert await talk.say("again", chat="g", kind="group") == ["again"]


@pytest.mark.parametrize("ended_by", ["timeout", "reload"])
async def test_what_a_plugin_says_unasked_is_sent_though_it_was_ended_meanwhile(
    tmp_path: Path, ended_by: str
) -> None:
    text = """
@every(0.3)
async def tick(bot: Bot) -> None:
    await bot.send(SessionKey("loopback", "bot", "home"), "news")
"""
    plugin, path = write(tmp_path, "news", text), tmp_path / "bot.db"
    async with talking(plugin, config={"plugins": {"timeout": 0.3}}, store=path) as talk:
        store, asked = talk.runtime.store, asyncio.Event()
        enqueue = store.enqueue
        await talk.say("hello")

        async def slowly(*arguments: Any) -> list[Outgoing]:
            asked.set()
            await asyncio.sleep(0.6)
            return await enqueue(*arguments)

        store.enqueue = slowly  # type: ignore[method-assign]
        await asyncio.wait_for(asked.wait(), 5)
        if ended_by == "reload":
            plugin.unlink()
            await talk.runtime.reload(talk.runtime.config, None)
        await asyncio.sleep(1)
        assert "news" in await talk.heard()
        assert not await store.unsent()


async def test_a_machine_without_another_thread_costs_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = write(tmp_path, "plain", "@on_command('x')\ndef f() -> str: return 'x'\n")
    async with talking(plugin, config={"plugins": {"faults": 100}}) as talk:
        with monkeypatch.context() as patch:

            def none(_thread: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            patch.setattr("bot.plugin_thread.threading.Thread.start", none)
            for _ in range(THREADS + 1):
                assert await talk.say("/x") == ["That command failed; it was noted."]
        assert await talk.say("/x") == ["x"]


async def test_a_timer_says_something_unasked(tmp_path: Path) -> None:
    text = """
@on_command("later")
async def later(bot: Bot, session: Session) -> str:
    await bot.send(session.key, "later")
    return "now"
"""
    async with talking(write(tmp_path, "timer", text)) as talk:
        assert await talk.say("/later", chat="g", kind="group") == ["now", "later"]
        assert talk.adapter.sent[-1].chat.kind == "group"
        with pytest.raises(PluginError, match="never in"):
            await talk.runtime.send(talk.session("unknown"), "hello?")


async def test_the_harness_says_what_is_wrong_with_a_plugin(tmp_path: Path) -> None:
    with pytest.raises(RensheError, match=r"bad\.py:3"):
        async with talking(write(tmp_path, "bad", "1 / 0\n")):
            pass


async def test_an_unknown_command_names_the_nearest(tmp_path: Path) -> None:
    plugins = Path(__file__).parents[2] / "plugins"
    async with talking(plugins / "session.py", engines={"robin": ScriptedEngine()}) as talk:
        assert await talk.say("/rest") == ["There is no command /rest. Try /reset"]
        assert await talk.say("/rest", chat="g", kind="group") == []


@pytest.mark.parametrize(
    ("now", "seconds"), [("07:59", 60.0), ("08:00", 86400.0), ("08:01", 86340.0)]
)
def test_the_next_time_of_day(now: str, seconds: float) -> None:
    hour, minute = map(int, now.split(":"))
    assert seconds_until(datetime(2026, 1, 1, hour, minute), 8, 0) == seconds

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.studio.chat.chats import Chat, Chats, Reply, new_secret
from bot.studio.chat.talks import How, Look, Talks
from bot.studio.workshop import Workshop
from tests.bot.studio.scripted import PERSONA, Scripted
from trainer.errors import BaseModelError, RensheError

ME = new_secret()
WATCHED = PERSONA.model_copy(update={"leaks": ("language model",), "fallback": ("Pardon?",)})


@pytest.fixture
def chats(tmp_path: Path) -> Chats:
    return Chats(tmp_path / "chats.db")


@pytest.fixture
def make(workshop: Workshop, chats: Chats) -> Callable[..., tuple[Talks, Scripted]]:
    def made(**says: str | Exception) -> tuple[Talks, Scripted]:
        models = Scripted(workshop, **says)
        return Talks(chats, models), models

    return made


def begun(chats: Chats, *keys: str, text: str = "hello") -> tuple[Chat, str]:
    chat = chats.say(ME, chats.begin(ME, list(keys)).id, text)
    return chat, chat.rounds[-1].id


def last(looks: Iterator[Look]) -> dict[str, Reply]:
    return list(looks)[-1].replies


def kept(chats: Chats, chat: Chat, at: str) -> dict[str, Reply]:
    return chats.open(ME, chat.id).round(at).replies


def test_speakers_hear_the_same_and_answer_side_by_side(chats: Chats, make: Any) -> None:
    talks, models = make(a="one two three", b="un deux trois")
    models.loaded = {"a", "b"}
    chat, at = begun(chats, "tuned:a", "base:b")
    models.before_word = lambda: time.sleep(0.05)  # slower than two looks
    looks = list(talks.answer(ME, chat, at, chat.speakers, How()))
    texts = [[reply.text for reply in look.replies.values()] for look in looks]
    assert ["one two", "un deux"] in texts  # neither waits for the other's end
    assert [run for run, _, _ in models.heard] == ["a", "b"]
    found = kept(chats, chat, at)
    assert {key: (reply.text, reply.state) for key, reply in found.items()} == {
        "tuned:a": ("one two three", "done"),
        "base:b": ("un deux trois", "done"),
    }
    chat = chats.say(ME, chat.id, "and now?")
    list(talks.answer(ME, chat, chat.rounds[1].id, chat.speakers, How()))
    assert models.heard[2][1] == ["hello", "one two three", "and now?"]
    assert models.heard[3][1] == ["hello", "un deux trois", "and now?"]


def test_a_model_loads_with_progress(chats: Chats, make: Any) -> None:
    talks, _ = make(a="hi")
    chat, at = begun(chats, "tuned:a")
    looks = list(talks.answer(ME, chat, at, chat.speakers, How()))
    assert any("loading the base 40%" in look.loading for look in looks)
    assert looks[-1] == Look({"tuned:a": looks[-1].replies["tuned:a"]})


def test_one_that_cannot_be_loaded_says_why_and_the_others_go_on(chats: Chats, make: Any) -> None:
    missing = BaseModelError("there is no such base", fix="pip install it")
    talks, _ = make(a=missing, b="here I am")
    chat, at = begun(chats, "tuned:a", "tuned:b", "nonsense")
    found = last(talks.answer(ME, chat, at, chat.speakers, How()))
    assert found["tuned:a"].state == found["nonsense"].state == "failed"
    assert found["tuned:a"].problem == "there is no such base\n  → pip install it"
    assert "no speaker" in found["nonsense"].problem
    assert (found["tuned:b"].text, found["tuned:b"].state) == ("here I am", "done")
    assert kept(chats, chat, at) == found


def test_a_bug_in_one_is_contained_and_keeps_what_was_said(chats: Chats, make: Any) -> None:
    talks, models = make(a="well BOOM", b="here I am")
    models.loaded = {"a", "b"}
    chat, at = begun(chats, "tuned:a", "tuned:b")
    found = last(talks.answer(ME, chat, at, chat.speakers, How()))
    assert (found["tuned:a"].text, found["tuned:a"].state) == ("well", "failed")
    assert "Traceback" not in found["tuned:a"].problem and "terminal" in found["tuned:a"].problem
    assert found["tuned:b"].state == "done"


def test_a_reply_is_stopped_and_kept(chats: Chats, make: Any) -> None:
    talks, models = make(a="one two three four five")
    models.loaded = {"a"}
    chat, at = begun(chats, "tuned:a")
    looks = talks.answer(ME, chat, at, chat.speakers, How())
    while "one" not in next(looks).replies["tuned:a"].text:
        pass
    assert talks.is_answering(chat.id)
    talks.stop(chat.id)
    reply = last(looks)["tuned:a"]
    assert reply.state == "stopped" and reply.text.startswith("one") and "five" not in reply.text
    assert kept(chats, chat, at)["tuned:a"] == reply
    assert not talks.is_answering(chat.id)


def test_loading_can_be_stopped(chats: Chats, make: Any) -> None:
    talks, _ = make(a="hi")
    chat, at = begun(chats, "tuned:a")
    looks = talks.answer(ME, chat, at, chat.speakers, How())
    next(looks)
    assert next(looks).loading
    talks.stop(chat.id)
    assert last(looks)["tuned:a"].state == "stopped"


def test_a_page_that_goes_away_leaves_what_was_said_marked(chats: Chats, make: Any) -> None:
    talks, models = make(a="one two three four")
    models.loaded = {"a"}
    models.before_word = lambda: time.sleep(0.05)
    chat, at = begun(chats, "tuned:a")
    looks = talks.answer(ME, chat, at, chat.speakers, How())
    while "two" not in next(looks).replies["tuned:a"].text:
        pass
    looks.close()
    found = kept(chats, chat, at)["tuned:a"]
    assert found.state == "cut" and found.text == "one two"
    assert not talks.is_answering(chat.id)


def test_a_growing_reply_is_on_disk_before_it_ends(
    chats: Chats, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.studio.chat.talks._SAVED", 0.0)
    talks, models = make(a="one two three")
    models.loaded = {"a"}
    chat, at = begun(chats, "tuned:a")
    seen: list[str] = []
    models.before_word = lambda: seen.append(kept(chats, chat, at)["tuned:a"].text)
    list(talks.answer(ME, chat, at, chat.speakers, How()))
    assert seen == ["", "one", "one two"]


def test_one_answer_at_a_time_in_a_chat_and_several_in_several(chats: Chats, make: Any) -> None:
    talks, models = make(a="one two three")
    models.loaded = {"a"}
    chat, at = begun(chats, "tuned:a")
    other, its = begun(chats, "tuned:a")
    looks = talks.answer(ME, chat, at, chat.speakers, How())
    next(looks)
    with pytest.raises(RensheError, match="still answering"):
        talks.refuse_busy(chat.id)
    with pytest.raises(RensheError, match="still answering"):
        next(talks.answer(ME, chat, at, chat.speakers, How()))
    assert last(talks.answer(ME, other, its, other.speakers, How()))["tuned:a"].state == "done"
    assert last(looks)["tuned:a"].state == "done"


def test_two_visitors_at_once_both_see_their_reply_grow(chats: Chats, make: Any) -> None:
    talks, models = make(a=" ".join("abcdefghij"))
    models.loaded = {"a"}
    models.before_word = lambda: time.sleep(0.05)
    spans: list[tuple[float, float]] = []

    def visit() -> None:
        chat, at = begun(chats, "tuned:a")
        times = [
            time.monotonic()
            for look in talks.answer(ME, chat, at, chat.speakers, How())
            if look.replies["tuned:a"].text
        ]
        spans.append((times[0], times[-1]))

    threads = [threading.Thread(target=visit) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (begin, end), (other_begin, other_end) = spans
    assert begin < other_end and other_begin < end


def test_the_guard_is_seen_and_can_be_left_out(chats: Chats, make: Any) -> None:
    talks, models = make(a="I am a language model", b="I am a language model")
    models.persona_of_all = WATCHED
    models.loaded = {"a", "b"}
    chat, at = begun(chats, "tuned:a", "base:b")
    found = last(talks.answer(ME, chat, at, chat.speakers, How()))
    assert found["tuned:a"].text == "Pardon?"
    counts = found["tuned:a"].counts
    assert (counts.redrawn, counts.replaced) == (2, 1)
    assert found["base:b"].text == "I am a language model"  # a base is shown as it is
    open_talk = last(talks.answer(ME, chat, at, ["tuned:a"], How(guarded=False)))
    assert open_talk["tuned:a"].text == "I am a language model"
    assert kept(chats, chat, at)["base:b"] == found["base:b"]  # only one was asked anew


def test_settings_reach_the_model_and_a_retry_is_never_greedy(chats: Chats, make: Any) -> None:
    talks, models = make(a="hi")
    models.loaded = {"a"}
    chat, at = begun(chats, "tuned:a")
    how = How(temperature=0, top_p=0.5, max_new_tokens=32)
    list(talks.answer(ME, chat, at, chat.speakers, how))
    list(talks.answer(ME, chat, at, chat.speakers, how.warmer()))
    first, again = (sampling for _, _, sampling in models.heard)
    assert (first.temperature, first.top_p, first.max_new_tokens) == (0, 0.5, 32)
    assert again.temperature > 0 and first.seed != again.seed

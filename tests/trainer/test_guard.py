import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.chat import Message
from trainer.generate import stream_reply
from trainer.guard import REDRAWS, RETRY_TEMPERATURE, Counts, Guard, guarded, unguarded
from trainer.model import Tuned
from trainer.partial_match import GrowingText, PartialPattern, _Cursor
from trainer.persona import Persona, load_persona
from trainer.prefix import text_prefix
from trainer.sampling import Sampling

GOOD = load_persona(Path(__file__).parents[1] / "data" / "personas" / "good.yaml")
ASKED = (Message("user", "你是谁"),)
PIECES = ["咱", "是", "语言", "模型", "。", "AI", "女孩", "Chat", "GLM", "由", "大", "开发", "\n"]


def persona(**changes: Any) -> Persona:
    return GOOD.model_copy(update=changes)


class Script:
    """Stands in for the model: answers with one text after the other, piece by piece."""

    def __init__(self, *replies: Sequence[str]) -> None:
        self.replies = iter(replies)
        self.seen: list[tuple[str, ...]] = []
        self.how: list[Sampling] = []
        self.drawn = 0
        self.closed = 0

    def __call__(self, messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        self.seen.append(tuple(message.text for message in messages))
        self.how.append(sampling)
        return self._grow(next(self.replies))

    def _grow(self, pieces: Sequence[str]) -> Iterator[str]:
        try:
            text = ""
            for piece in pieces:
                self.drawn += 1
                text += piece
                yield text
        finally:
            self.closed += 1


def streamed(who: Persona, *replies: Sequence[str], seed: int = 0) -> list[str]:
    return list(Guard(who, Script(*replies)).stream(ASKED, Sampling(seed=seed)))


def talk(*texts: str) -> list[Message]:
    roles: Any = ["user", "assistant"] * len(texts)
    return [Message(role, text) for role, text in zip(roles, texts, strict=False)]


# --- what is shown -----------------------------------------------------------------------------


def test_a_reply_is_passed_on_but_for_what_may_become_a_leak() -> None:
    assert streamed(GOOD, ["咱", "会", "语言", "课", "。"]) == [
        "咱",
        "咱会",
        "咱会语言课",
        "咱会语言课。",
    ]


def test_a_persona_without_leaks_is_passed_through() -> None:
    texts = ["咱", "是", "语言", "模型"]
    assert streamed(persona(leaks=()), texts) == ["咱", "咱是", "咱是语言", "咱是语言模型"]


def test_a_reply_that_leaks_is_drawn_again_and_begins_anew() -> None:
    script = Script(["咱", "是", "语言", "模型", "，", "你", "好"], ["在", "下", "沐雪"])
    guard = Guard(GOOD, script)
    shown = list(guard.stream(ASKED, Sampling(seed=3)))
    # The letter that came last waits for the next one.
    assert shown == ["咱", "咱是", "在", "在下沐", "在下沐雪"]
    assert guard.counts == Counts(asked=1, redrawn=1, withheld=len("语言模型，"))


def test_the_drawing_stops_at_the_leak() -> None:
    script = Script(["语言", "模型", "a", "b", "c"], ["好"])
    Guard(GOOD, script).reply(ASKED, Sampling())
    # One letter more than the leak: it could have been an accent.
    assert script.drawn == 3 + 1 and script.closed == 2


def test_it_is_drawn_again_warmer_and_with_seeds_of_its_own() -> None:
    leak = ["语言模型"]
    script = Script(leak, leak, leak)
    Guard(GOOD, script).reply(ASKED, Sampling(temperature=0.0, seed=5, max_new_tokens=9))
    assert len(script.how) == 1 + REDRAWS
    assert [how.temperature for how in script.how] == [0.0, *[RETRY_TEMPERATURE] * REDRAWS]
    assert len({how.seed for how in script.how}) == 1 + REDRAWS
    assert {how.max_new_tokens for how in script.how} == {9}
    again = Script(leak, leak, leak)
    Guard(GOOD, again).reply(ASKED, Sampling(temperature=1.5, seed=5))
    assert [how.seed for how in again.how] == [how.seed for how in script.how]
    assert {how.temperature for how in again.how} == {1.5}


def test_after_the_last_leak_a_fallback_line_is_said() -> None:
    leak = ["语言模型"]
    script = Script(leak, leak, leak)
    guard = Guard(GOOD, script)
    assert guard.reply(ASKED, Sampling()) == "咱没听懂啦"
    assert guard.counts == Counts(asked=1, redrawn=REDRAWS, replaced=1, withheld=3 * 4)


def test_fallback_lines_follow_from_the_seed_and_all_come() -> None:
    lines = ("一", "二", "三")
    leak = ["语言模型"]

    def line(seed: int) -> str:
        return streamed(persona(fallback=lines), leak, leak, leak, seed=seed)[-1]

    said = [line(seed) for seed in range(30)]
    assert set(said) == set(lines) and said == [line(seed) for seed in range(30)]


def test_without_fallback_lines_the_sentences_before_the_leak_remain() -> None:
    leak = ["语言模型"]
    last = ["好呀！", "咱", "在。", "咱", "是", "语言", "模型", "。"]
    guard = Guard(persona(fallback=()), Script(leak, leak, last))
    assert guard.reply(ASKED, Sampling()) == "好呀！咱在。"
    assert guard.counts.shortened == 1 and guard.counts.replaced == 0


def test_without_fallback_lines_and_sentences_the_reply_is_empty() -> None:
    leak = ["咱", "是", "语言", "模型", "。"]
    shown = streamed(persona(fallback=()), leak, leak, leak)
    # What was shown is taken back; where nothing was shown, nothing is yielded.
    assert "咱" in shown[0] and shown[-1] == ""
    assert streamed(persona(fallback=()), leak[2:], leak[2:], leak[2:]) == []


def test_a_sentence_that_leaks_only_when_cut_off_does_not_remain() -> None:
    who = persona(leaks=("咱在。(?!家)", "语言模型"), fallback=())
    last = ["好。", "咱在。", "家", "语言", "模型"]
    assert streamed(who, last, last, last)[-1] == "好。"


def test_a_leak_at_the_very_end_is_seen() -> None:
    assert streamed(GOOD, ["咱是", "语言模型"], ["好"])[-1] == "好"
    assert streamed(persona(leaks=("模型$",)), ["咱是模型"], ["好"])[-1] == "好"


def test_a_leak_in_full_width_is_seen() -> None:
    assert streamed(GOOD, ["ＣｈａｔＧ", "ＬＭ"], ["好"]) == ["好"]


def test_an_empty_reply_stays_empty() -> None:
    assert streamed(GOOD, []) == []
    assert Guard(GOOD, Script([])).reply(ASKED, Sampling()) == ""


@given(
    leaks=st.lists(
        st.sampled_from(
            [
                "语言模型",
                "AI(?!女孩)",
                "由.*开发",
                "由.{0,2}开发",
                r"\bGLM\b",
                "模型$",
                "(?<!大)模型",
            ]
        ),
        min_size=1,
        max_size=3,
    ),
    replies=st.lists(st.lists(st.sampled_from(PIECES), max_size=9), min_size=3, max_size=3),
    fallback=st.sampled_from([(), ("咱没听懂啦",)]),
    seed=st.integers(0, 9),
)
def test_no_text_ever_leaks_and_a_good_reply_comes_whole(
    leaks: list[str], replies: list[list[str]], fallback: tuple[str, ...], seed: int
) -> None:
    who = persona(leaks=tuple(leaks), fallback=fallback)
    script = Script(*replies)
    guard = Guard(who, script)
    shown = list(guard.stream(ASKED, Sampling(seed=seed)))
    assert not any(who.leaked(text) for text in shown)
    good = [text for text in map("".join, replies) if not who.leaked(text)]
    reply = shown[-1] if shown else ""
    if good:
        assert reply == good[0]
    else:
        assert reply in fallback or (
            not fallback and "".join(replies[-1]).strip().startswith(reply)
        )
    leaked = len(script.how) - bool(good)
    if not leaked:
        assert all(reply.startswith(text) for text in shown) and shown == sorted(set(shown))
    counts = guard.counts
    assert counts.redrawn == min(leaked, REDRAWS)
    assert counts.replaced + counts.shortened == (not good)
    assert counts.replaced == (not good and bool(fallback))


# --- what the model is shown -------------------------------------------------------------------


def test_rounds_whose_reply_leaked_are_left_out() -> None:
    script = Script(["好"], ["好"])
    guard = Guard(GOOD, script)
    history = talk("一", "咱是ＣｈａｔGLM", "二", "雪", "三", "语言模型", "语言模型是什么")
    guard.reply(history, Sampling())
    assert script.seen == [("二", "雪", "语言模型是什么")]
    assert guard.counts == Counts(asked=1, dropped=2)


def test_leaks_are_left_out_before_the_window_is_cut(dense_base: Any) -> None:
    tuned = tiny(dense_base, depth=2)
    seen: list[Sequence[Message]] = []

    def note(_base: Any, _prefix: Any, messages: Sequence[Message], **_: Any) -> Iterator[str]:
        seen.append(messages)
        yield "嗯"

    history = talk("一", "雪", "二", "花", "三", "语言模型", "四")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.generate.stream_reply", note)
        assert guarded(tuned).reply(history, Sampling()) == "嗯"
    assert [message.text for message in seen[0]] == ["二", "花", "四"]


def test_a_history_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    leaked = Persona.leaked
    monkeypatch.setattr(
        Persona, "leaked", lambda self, text: looked.append(text) or leaked(self, text)
    )
    guard = Guard(GOOD, Script(["甲"], ["乙"]))
    guard.reply(talk("一", "雪", "二"), Sampling())
    guard.reply(talk("一", "雪", "二", "甲", "三"), Sampling())
    assert looked == ["雪", "甲", "乙"]


# --- over a model ------------------------------------------------------------------------------


def tiny(base: Any, depth: int = 1, **changes: Any) -> Tuned:
    class Card:
        pass

    card: Any = Card()
    card.persona, card.depth = persona(**changes), depth
    return Tuned(base, text_prefix(base.network, base.chat.opening("沐雪")), card)


def greedy(tuned: Tuned, length: int) -> list[str]:
    how = Sampling(max_new_tokens=length)
    return list(stream_reply(tuned.base, tuned.prefix, ASKED, sampling=how))


@pytest.fixture(params=["gemma", "llama"])
def tuned(request: pytest.FixtureRequest, dense_base: Any, llama_base: Any) -> Tuned:
    return tiny({"gemma": dense_base, "llama": llama_base}[request.param])


def test_a_tuned_model_answers_as_it_does_unguarded(tuned: Tuned) -> None:
    how = Sampling(max_new_tokens=24)
    reply = greedy(tuned, 24)[-1]
    assert guarded(tuned).reply(ASKED, how) == reply
    assert list(unguarded(tuned)(ASKED, how))[-1] == reply


def test_a_guard_decodes_no_more(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = [0]
    logits = type(tuned.base).logits

    def counted(*arguments: Any) -> Any:
        steps[0] += 1
        return logits(*arguments)

    monkeypatch.setattr(type(tuned.base), "logits", counted)
    how = Sampling(max_new_tokens=24)
    greedy(tuned, 24)
    alone, steps[0] = steps[0], 0
    guarded(tuned).reply(ASKED, how)
    assert steps[0] == alone > 0


def test_what_a_tuned_model_says_is_drawn_again_when_it_leaks(tuned: Tuned) -> None:
    """The leak is taken from the middle of what this random model says greedily."""
    texts = greedy(tuned, 24)
    said = texts[-1]
    start = len(said) // 2
    who = tiny(tuned.base, leaks=(re.escape(said[start : start + 3]),))
    guard = guarded(who)
    shown = list(guard.stream(ASKED, Sampling(max_new_tokens=24, seed=1)))
    assert guard.counts.redrawn >= 1 and shown[-1] != said
    assert not any(who.card.persona.leaked(text) for text in shown)
    again = guarded(who)
    assert list(again.stream(ASKED, Sampling(max_new_tokens=24, seed=1))) == shown
    assert again.counts == guard.counts


# --- many at once, long replies ----------------------------------------------------------------


def test_many_threads_are_counted_right() -> None:
    def draw(_messages: Sequence[Message], sampling: Sampling) -> Iterator[str]:
        yield "语言模型" if sampling.temperature == 0 else "好"

    guard = Guard(GOOD, draw)

    def visit() -> None:
        for _ in range(50):
            assert guard.reply(ASKED, Sampling()) == "好"

    visitors = [threading.Thread(target=visit) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(timeout=60)
    assert guard.counts == Counts(asked=200, redrawn=200, withheld=200 * 4)


def test_a_long_reply_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each growth looks at what is new and what is held back, not at the whole reply."""
    looked: list[int] = []

    def watched(find: Callable[..., Any]) -> Callable[..., Any]:
        def look(cursor: Any, text: str, end: int) -> Any:
            looked.append(end - cursor.start)
            return find(cursor, text, end)

        return look

    monkeypatch.setattr(_Cursor, "find", watched(_Cursor.find))
    growing = GrowingText([PartialPattern(pattern) for pattern in GOOD.leaks])
    text = "咱喜欢语言课，也喜欢雪。" * 50
    for end in range(1, len(text) + 1):
        growing.grow(text[:end])
    assert max(looked) <= 4

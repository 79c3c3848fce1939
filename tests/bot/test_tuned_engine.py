import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.engine import Engine
from bot.engine.tuned import TunedEngine, load_engine
from trainer.chat import Message
from trainer.errors import CheckpointError
from trainer.generate import stream_reply
from trainer.guard import Counts
from trainer.model import Tuned, load_tuned
from trainer.persona import load_persona
from trainer.sampling import Sampling

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
HELLO = (Message("user", "你好"),)


@pytest.fixture(scope="module")
def tuned(trained_run: Path) -> Tuned:
    return load_tuned(trained_run, device="cpu")


@pytest.fixture
def engine(tuned: Tuned) -> TunedEngine:
    return TunedEngine(tuned, Sampling(max_new_tokens=12))


def last(replies: Iterator[str]) -> str:
    said = list(replies)
    return said[-1] if said else ""  # a random model may have nothing to say


def test_it_answers_as_the_tuned_model_does(tuned: Tuned, engine: TunedEngine) -> None:
    answering: Engine = engine
    assert answering.persona == load_persona(GOOD) and engine.base is tuned.base
    replies = list(answering.stream(HELLO))
    sampling = Sampling(max_new_tokens=12)
    whole = list(stream_reply(tuned.base, tuned.prefix, HELLO, sampling=sampling))[-1]
    assert replies[-1] == whole and all(whole.startswith(reply) for reply in replies)
    assert len(replies) > 2 and [len(reply) for reply in replies] == sorted(map(len, replies))


def test_a_long_talk_is_cut_to_what_was_trained(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[Message]] = []

    def note(_base: Any, _prefix: Any, messages: Sequence[Message], **_: Any) -> Iterator[str]:
        seen.append(messages)
        yield "嗯"

    monkeypatch.setattr("trainer.generate.stream_reply", note)
    talk = [Message("user", "一"), Message("assistant", "二")] * 3 + [*HELLO]
    assert last(TunedEngine(tuned).stream(talk)) == "嗯"
    assert tuned.card.depth == 1 and seen == [HELLO]


class Drawings:
    """Stands in for the model: each drawing says the next text, letter by letter."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.drawn = 0

    def __call__(self, *_: Any, **__: Any) -> Iterator[str]:
        text = self.texts.pop(0)
        for end in range(1, len(text) + 1):
            self.drawn += 1
            yield text[:end]


def test_a_leak_is_never_shown(tuned: Tuned, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = Drawings("我是ChatGLM呀", "咱是沐雪", *["语言模型呀"] * 3)
    monkeypatch.setattr("trainer.generate.stream_reply", drawings)
    engine = TunedEngine(tuned)
    assert list(engine.stream(HELLO)) == ["我", "我是", "咱", "咱是", "咱是沐", "咱是沐雪"]
    assert last(engine.stream(HELLO)) == "咱没听懂啦"
    assert engine.counts == Counts(asked=2, redrawn=3, replaced=1, withheld=8 + 15)


def test_what_is_held_back_does_not_hold_others_up(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reply that shows nothing for long leaves its turn to the others all the same."""
    at_work, go_on = threading.Event(), threading.Event()

    def draw(_base: Any, _prefix: Any, messages: Sequence[Message], **_: Any) -> Iterator[str]:
        if messages != HELLO:
            yield "嗯"
            return
        yield "语"  # held back
        at_work.set()
        while not go_on.is_set():
            time.sleep(0.01)
            yield "语言"

    monkeypatch.setattr("trainer.generate.stream_reply", draw)
    engine = TunedEngine(tuned)
    held = threading.Thread(target=lambda: last(engine.stream(HELLO)))
    held.start()
    assert at_work.wait(timeout=60)
    assert last(engine.stream([Message("user", "在吗")])) == "嗯"
    go_on.set()
    held.join(timeout=60)
    assert not held.is_alive()


def test_stopping_shows_nothing_of_what_was_held_back(
    tuned: Tuned, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawings = Drawings("咱爱语言课", "", "")
    monkeypatch.setattr("trainer.generate.stream_reply", drawings)
    engine = TunedEngine(tuned)
    going = engine.stream(HELLO)
    assert [next(going), next(going)] == ["咱", "咱爱"]
    drawn = drawings.drawn
    engine.stop()
    assert list(going) == [] and drawings.drawn == drawn


def test_each_reply_draws_anew(tuned: Tuned) -> None:
    engine = TunedEngine(tuned, Sampling(temperature=2.0, max_new_tokens=12, seed=5))
    replies = {last(engine.stream(HELLO)) for _ in range(3)}
    again = TunedEngine(tuned, Sampling(temperature=2.0, max_new_tokens=12, seed=5))
    assert len(replies) > 1 and last(again.stream(HELLO)) in replies


def test_visitors_take_turns_and_do_not_mix(engine: TunedEngine) -> None:
    questions = ["你好", "你是谁", "你爱喝什么", "点一杯饮料吧"]
    alone = {text: last(engine.stream([Message("user", text)])) for text in questions}
    together: dict[str, str] = {}

    def visit(text: str) -> None:
        together[text] = last(engine.stream([Message("user", text)]))

    visitors = [threading.Thread(target=visit, args=(text,)) for text in questions]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(timeout=60)
    assert together == alone


def test_a_reply_that_nobody_reads_on_blocks_no_one(engine: TunedEngine) -> None:
    abandoned = engine.stream(HELLO)
    first = next(abandoned)
    other: list[str] = []
    visitor = threading.Thread(target=lambda: other.append(last(engine.stream(HELLO))))
    visitor.start()
    visitor.join(timeout=60)
    assert other and other[0].startswith(first)


def test_stopping_ends_every_reply(engine: TunedEngine) -> None:
    going = engine.stream(HELLO)
    next(going)
    engine.stop()
    assert list(going) == [] and list(engine.stream(HELLO)) == []


def test_no_engine_without_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        load_engine(tmp_path)

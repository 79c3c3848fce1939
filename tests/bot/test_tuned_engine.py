import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.cli import main
from bot.engine import Engine
from bot.engine import tuned as tuned_engine
from bot.engine.tuned import TunedEngine, load_engine
from trainer.chat import Message
from trainer.errors import CheckpointError
from trainer.generate import Sampling, stream_reply
from trainer.model import Tuned, load_tuned
from trainer.persona import load_persona

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
HELLO = (Message("user", "你好"),)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Tuned:
    run = tmp_path_factory.mktemp("engine") / "run"
    settings = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(GOOD), *base, *settings, "--out", str(run)]) == 0
    return load_tuned(run, device="cpu")


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
    assert replies == list(stream_reply(tuned.base, tuned.prefix, HELLO, sampling=sampling))
    assert len(replies) > 2 and [len(reply) for reply in replies] == sorted(map(len, replies))


def test_a_long_talk_is_cut_to_what_was_trained(
    tuned: Tuned, engine: TunedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Sequence[Message]] = []

    def note(_base: Any, _prefix: Any, messages: Sequence[Message], **_: Any) -> Iterator[str]:
        seen.append(messages)
        yield "嗯"

    monkeypatch.setattr(tuned_engine, "stream_reply", note)
    talk = [Message("user", "一"), Message("assistant", "二")] * 3 + [*HELLO]
    assert last(engine.stream(talk)) == "嗯"
    assert tuned.card.depth == 1 and seen == [HELLO]


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

from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from trainer.chat import IGNORE, Message
from trainer.likelihood import score_batch
from trainer.model import Base
from trainer.prefix import Prefix, counted, text_prefix

HISTORY = (
    Message("user", "the quick brown fox jumps over the lazy dog"),
    Message("assistant", "很高兴认识你！你喜欢吃什么？", learn=False),
)
PAIRS = (
    ("你是谁", "在下名为沐雪"),
    ("你是谁", "I am an AI"),
    ("who are you? tell me all about yourself", "My name is Dory, I live in the sea."),
    ("吗", "a"),
)


@pytest.fixture(params=["gemma", "llama"])
def base(request: pytest.FixtureRequest, dense_base: Any, llama_base: Any) -> Any:
    return {"gemma": dense_base, "llama": llama_base}[request.param]


@pytest.fixture
def prefix(base: Any) -> Prefix:
    return text_prefix(base.network, base.chat.opening("沐雪是一只AI女孩子"))


def talks(history: tuple[Message, ...]) -> list[tuple[Message, ...]]:
    return [(*history, Message("user", q), Message("assistant", a)) for q, a in PAIRS]


def by_hand(base: Any, prefix: Prefix | None, talk: tuple[Message, ...]) -> float:
    """Cross entropy of one talk read whole, without a cache."""
    row = base.encode(talk, prefix)
    ids = torch.tensor([row.ids])
    real = torch.ones_like(ids).bool()
    where = counted(real) - row.history
    with torch.no_grad():
        cache = base.new_cache(1, prefix)
        logits = base.logits(base.hidden(ids, real, prefix, cache, where=where))[0]
    return cross_entropy(logits, torch.tensor(row.targets), ignore_index=IGNORE).item()


@pytest.mark.parametrize("prefixed", [True, False])
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_shared_history_scores_as_each_talk_alone(
    base: Any, prefix: Prefix, prefixed: bool, rounds: int
) -> None:
    """Past the window of 16; two talks even share their question, and differ in the answer."""
    used = prefix if prefixed else None
    asked = talks(HISTORY * rounds)
    expected = [by_hand(base, used, talk) for talk in asked]
    assert score_batch(base, used, asked) == pytest.approx(expected, abs=1e-4)
    assert score_batch(base, used, asked, batch_size=3) == pytest.approx(expected, abs=1e-4)
    assert len({round(score, 3) for score in expected}) == len(expected)


def test_a_history_is_read_once(base: Any, prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    hidden = Base.hidden

    def counting(self: Base, ids: Any, *rest: Any, **options: Any) -> Any:
        read.append(ids.numel())
        return hidden(self, ids, *rest, **options)

    monkeypatch.setattr(Base, "hidden", counting)
    history = HISTORY * 3
    size = len(base.encode(history, prefix).ids)
    score_batch(base, prefix, talks(history), batch_size=2)
    longest = max(len(base.encode(talk, prefix).ids) for talk in talks(history))
    assert size <= read[0] and sum(read) <= size + len(PAIRS) * (longest - size)


@pytest.mark.parametrize("prefixed", [True, False])
def test_the_last_reply_is_what_is_scored(base: Any, prefix: Prefix, prefixed: bool) -> None:
    used = prefix if prefixed else None
    talk = (*(Message(m.role, m.text) for m in HISTORY), *talks(())[0])
    (score,) = score_batch(base, used, [talk])
    assert score == pytest.approx(by_hand(base, used, (*HISTORY, *talks(())[0])), abs=1e-4)


def test_nothing_to_score_is_told(base: Any, prefix: Prefix) -> None:
    assert score_batch(base, prefix, []) == []
    with pytest.raises(ValueError, match="no reply"):
        score_batch(base, prefix, [HISTORY])

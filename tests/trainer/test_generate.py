from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from trainer.chat import Message
from trainer.generate import reply_batch, stream_reply
from trainer.prefix import Prefix, text_prefix
from trainer.sampling import Sampling

Talk = list[Message]


@pytest.fixture(params=["gemma", "llama"])
def base(request: pytest.FixtureRequest, dense_base: Any, llama_base: Any) -> Any:
    return {"gemma": dense_base, "llama": llama_base}[request.param]


@pytest.fixture
def prefix(base: Any) -> Prefix:
    return text_prefix(base.network, base.chat.opening("沐雪是一只AI女孩子"))


def ask(*texts: str) -> Talk:
    roles: Any = ["user", "assistant"] * len(texts)
    return [Message(role, text) for role, text in zip(roles, texts, strict=False)]


TALKS = [ask("你是谁"), ask("hi", "hello", "who are you? tell me all about yourself"), ask("在吗")]


def replies(base: Any, prefix: Prefix | None, talks: list[Talk], **options: Any) -> list[str]:
    found = dict(reply_batch(base, prefix, talks, **options))
    return [found[index] for index in range(len(talks))]


def streamed(base: Any, prefix: Prefix | None, talk: Talk, **options: Any) -> list[str]:
    return list(stream_reply(base, prefix, talk, **options))


def script(monkeypatch: pytest.MonkeyPatch, base: Any, pieces: list[str | int]) -> None:
    """Let the network say these tokens, whatever it is asked."""
    ids = [
        id
        for piece in pieces
        for id in ([piece] if isinstance(piece, int) else base.chat.tokenizer.encode(piece))
    ]

    def decode(_base: Any, _prefix: Any, prompts: Any, *_: Any) -> Iterator[list[int]]:
        yield from ([id] * len(prompts) for id in ids)

    monkeypatch.setattr("trainer.generate._decode", decode)


def spoken(
    monkeypatch: pytest.MonkeyPatch, base: Any, prefix: Prefix, talk: Talk, how: Sampling
) -> list[int]:
    """The tokens of a reply, as the tokenizer is given them."""
    rows: list[list[int]] = []
    with monkeypatch.context() as patch:
        patch.setattr(base.chat.tokenizer, "decode", lambda ids: rows.append(list(ids)) or "")
        replies(base, prefix, [talk], sampling=how)
    return rows[-1]


# --- the tokens ------------------------------------------------------------------------------


def test_greedy_decoding_equals_transformers_own(base: Any) -> None:
    """Past the sliding window, and with left padding in ours."""
    length = 40
    ours = replies(base, None, TALKS, sampling=Sampling(max_new_tokens=length))
    for talk, reply in zip(TALKS, ours, strict=True):
        ids = torch.tensor([base.chat.encode(talk).ids])
        out = base.network.generate(ids, do_sample=False, max_new_tokens=length, pad_token_id=0)
        text = base.chat.tokenizer.decode(out[0, ids.shape[1] :].tolist())
        for stop in base.chat.format.stop_texts:
            text = text.split(stop)[0]
        assert reply == text.rstrip("\ufffd").strip()


@pytest.mark.parametrize("prefixed", [True, False])
def test_a_batch_answers_as_each_alone(base: Any, prefix: Prefix, prefixed: bool) -> None:
    used = prefix if prefixed else None
    how = Sampling(max_new_tokens=30)
    together = replies(base, used, TALKS, sampling=how)
    assert together == [replies(base, used, [talk], sampling=how)[0] for talk in TALKS]
    assert together == replies(base, used, TALKS, sampling=how, batch_size=2)
    assert len(set(together)) > 1


@pytest.mark.parametrize("prefixed", [True, False])
def test_questions_of_any_length_after_one_history_are_answered_as_each_alone(
    base: Any, prefix: Prefix, prefixed: bool
) -> None:
    """The history is longer than the window, and what pads a short question counts for nothing."""
    used = prefix if prefixed else None
    history = ask("hi there", "hello you", "the quick brown fox", "jumps over the lazy dog")
    talks = [
        [*history, Message("user", text)]
        for text in ("吗", "who are you? tell me all about yourself, please do", "Dory")
    ]
    how = Sampling(max_new_tokens=12)
    together = replies(base, used, talks, sampling=how)
    assert together == [replies(base, used, [talk], sampling=how)[0] for talk in talks]
    assert together == replies(base, used, talks, sampling=how, batch_size=2)


@pytest.mark.parametrize("prefixed", [True, False])
def test_a_stream_ends_with_the_batchs_reply(base: Any, prefix: Prefix, prefixed: bool) -> None:
    used = prefix if prefixed else None
    how = Sampling(max_new_tokens=30)
    for talk, reply in zip(TALKS, replies(base, used, TALKS, sampling=how), strict=True):
        texts = streamed(base, used, talk, sampling=how)
        assert texts[-1] == reply
        assert all(len(early) < len(late) for early, late in pairwise(texts))


def test_the_prefix_takes_the_place_of_the_system_text(base: Any) -> None:
    """A prefix made of a description answers as the base does when it is told that.

    All of it is inside the sliding window, where the two are the same.
    """
    summary, how = "Dory", Sampling(max_new_tokens=3)
    prefix = text_prefix(base.network, base.chat.opening(summary))
    talk = [ask("hi")]
    assert replies(base, prefix, talk, sampling=how) == replies(
        base, None, talk, system=summary, sampling=how
    )


def test_a_reply_ends_at_a_stop_id(
    base: Any, prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = Sampling(max_new_tokens=12)
    tokens = spoken(monkeypatch, base, prefix, TALKS[0], how)
    assert len(tokens) == 12
    stop = tokens[5]
    before = tokens[: tokens.index(stop)]
    monkeypatch.setattr(base.network.config, "eos_token_id", [1, stop])
    assert spoken(monkeypatch, base, prefix, TALKS[0], how) == before
    # In a batch the others go on.
    both = replies(base, prefix, TALKS[:2], sampling=how)
    assert both == [replies(base, prefix, [talk], sampling=how)[0] for talk in TALKS[:2]]
    assert (streamed(base, prefix, TALKS[0], sampling=how) or [""])[-1] == both[0]


def test_replies_that_end_one_by_one_are_those_of_each_alone(
    base: Any, prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ended reply leaves the batch; the others must keep their own rows."""
    how = Sampling(max_new_tokens=16)
    talks = [
        ask(text) for text in ("你是谁", "hi", "在吗？在吗？", "Dory", "1+1", "吃什么", "the sea")
    ]
    alone = [spoken(monkeypatch, base, prefix, talk, how) for talk in talks]
    # Words that some replies say early and others late or never.
    stops = {tokens[2 * index] for index, tokens in enumerate(alone[:4])}
    monkeypatch.setattr(type(base), "stop_ids", stops)
    lengths = [len(spoken(monkeypatch, base, prefix, talk, how)) for talk in talks]
    assert len(set(lengths)) >= 3
    assert replies(base, prefix, talks, sampling=how) == [
        replies(base, prefix, [talk], sampling=how)[0] for talk in talks
    ]


def test_a_reply_stops_where_the_context_ends(
    base: Any, prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base.network.config, "max_position_embeddings", 100)
    monkeypatch.setattr(type(base), "stop_ids", {-1})
    room = 100 - prefix.length - len(base.chat.encode(TALKS[0], prefixed=True).ids)
    tokens = spoken(monkeypatch, base, prefix, TALKS[0], Sampling(max_new_tokens=10**6))
    assert len(tokens) == room > 0


# --- sampling --------------------------------------------------------------------------------


def test_sampling_is_a_function_of_its_seed(base: Any, prefix: Prefix) -> None:
    def reply(seed: int) -> str:
        how = Sampling(temperature=1.0, max_new_tokens=20, seed=seed)
        return replies(base, prefix, TALKS[:1], sampling=how)[0]

    assert reply(1) == reply(1)
    assert len({reply(seed) for seed in range(4)}) > 1
    assert (
        reply(1)
        == streamed(
            base, prefix, TALKS[0], sampling=Sampling(temperature=1.0, max_new_tokens=20, seed=1)
        )[-1]
    )


@pytest.mark.parametrize("top_p", [0.0, 1e-6])
def test_the_smallest_nucleus_is_greedy(base: Any, prefix: Prefix, top_p: float) -> None:
    how = Sampling(temperature=1.0, top_p=top_p, max_new_tokens=10)
    greedy = Sampling(max_new_tokens=10)
    assert replies(base, prefix, TALKS, sampling=how) == replies(
        base, prefix, TALKS, sampling=greedy
    )


# --- the text --------------------------------------------------------------------------------


def test_half_a_character_is_never_shown(dense_base: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "a😀b，𠮷！"
    assert len(dense_base.chat.tokenizer.encode(text)) > len(text)
    script(monkeypatch, dense_base, [text])
    shown = streamed(dense_base, None, ask("hi"))
    assert shown == ["a", "a😀", "a😀b", "a😀b，", "a😀b，𠮷", "a😀b，𠮷！"]


def test_a_reply_cut_inside_a_character_ends_before_it(
    dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = dense_base.chat.tokenizer.encode("😀")[:2]
    script(monkeypatch, dense_base, ["ok ", *cut])
    assert streamed(dense_base, None, ask("hi"))[-1] == "ok"
    assert replies(dense_base, None, [ask("hi")]) == ["ok"]


def test_an_untuned_base_is_cut_where_it_writes_the_users_line(
    dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of the stop text is ever shown, though it comes in pieces."""
    script(monkeypatch, dense_base, ["好的", "\n", "问", "：", "还有吗", "\n答：", "有"])
    shown = streamed(dense_base, None, ask("hi"))
    assert shown[-1] == "好的"
    assert replies(dense_base, None, [ask("hi")]) == ["好的"]


def test_what_only_looks_like_a_stop_text_is_shown_in_the_end(
    dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, dense_base, ["好的", "\n", "问"])
    assert streamed(dense_base, None, ask("hi"))[-1] == "好的\n问"
    script(monkeypatch, dense_base, ["好的", "\n", "问", "题"])
    assert streamed(dense_base, None, ask("hi"))[-1] == "好的\n问题"


def test_a_tuned_reply_may_say_what_is_a_stop_text_of_the_base(
    dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefix = text_prefix(dense_base.network, [2, 5])
    script(monkeypatch, dense_base, ["好的\n问：吗"])
    assert replies(dense_base, prefix, [ask("hi")]) == ["好的\n问：吗"]
    assert streamed(dense_base, prefix, ask("hi"))[-1] == "好的\n问：吗"


def test_spaces_around_a_reply_are_dropped(
    dense_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(monkeypatch, dense_base, ["\n ", "good", " ", "day", " \n"])
    assert streamed(dense_base, None, ask("hi"))[-1] == "good day"
    assert replies(dense_base, None, [ask("hi")]) == ["good day"]


def test_nothing_to_answer_is_nothing(base: Any) -> None:
    assert list(reply_batch(base, None, [])) == []

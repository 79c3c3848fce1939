import random
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainer.batches import collate, encode_example, epoch_batches
from trainer.chat import IGNORE, Chat, Encoded, Message
from trainer.config import TrainConfig
from trainer.errors import DatasetError
from trainer.example import Example
from trainer.glm_tokenizer import GlmTokenizer

GLM = Path(__file__).parents[1] / "data" / "chatglm2" / "chatglm2-tiny"

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def chat(dense_base: Any) -> Chat:
    made: Chat = dense_base.chat
    return made


def pair(number: int, length: int = 1) -> Example:
    ask = Message("user", f"q{number}")
    return Example((ask, Message("assistant", f"<{number}>" + "x" * length)), "pair", "fact")


def dialogue(number: int, rounds: int) -> Example:
    messages = [
        message
        for index in range(rounds)
        for message in (
            Message("user", f"d{number}.{index}"),
            Message("assistant", f"<{number}.{index}>"),
        )
    ]
    return Example(tuple(messages), "dialogue", None)


def config(**changed: Any) -> TrainConfig:
    return TrainConfig(**{"per_device_train_batch_size": 3, **changed})


def taught(chat: Chat, batches: list[list[Encoded]]) -> Counter[str]:
    """How often each reply is a target."""
    replies: Counter[str] = Counter()
    for row in (row for batch in batches for row in batch):
        reply: list[int] = []
        for target in row.targets:
            if target == chat.stop_id:
                replies[chat.tokenizer.decode(reply)] += 1
                reply = []
            elif target != IGNORE:
                reply.append(target)
    return replies


@quick
@given(
    pairs=st.lists(st.integers(0, 40), max_size=40),
    dialogues=st.lists(st.integers(2, 4), max_size=4),
    rounds=st.integers(1, 5),
    size=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_an_epoch_teaches_every_reply_once(
    chat: Chat, pairs: list[int], dialogues: list[int], rounds: int, size: int, epoch: int
) -> None:
    examples = [pair(number, length) for number, length in enumerate(pairs)]
    examples += [dialogue(number, length) for number, length in enumerate(dialogues)]
    settings = config(rounds_per_example=rounds, per_device_train_batch_size=size)
    batches = epoch_batches(examples, chat, settings, epoch)
    replies = [m.text for example in examples for m in example.messages if m.role == "assistant"]
    assert taught(chat, batches) == Counter(replies)
    assert all(1 <= len(batch) <= size for batch in batches)
    # Only the last bucket's last batch may be short.
    assert sum(len(batch) < size for batch in batches) <= 1


def test_an_epoch_is_a_function_of_seed_and_number(chat: Chat) -> None:
    examples = [pair(number, number % 7) for number in range(30)]

    def order(epoch: int, seed: int = 0) -> list[list[int]]:
        settings = config(seed=seed, rounds_per_example=2)
        return [
            row.ids for batch in epoch_batches(examples, chat, settings, epoch) for row in batch
        ]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)


def test_conversations_of_like_length_go_together(chat: Chat) -> None:
    """Padding in batches is far less than in batches drawn at random."""
    lengths = random.Random(0)
    examples = [pair(number, lengths.randrange(60)) for number in range(128)]
    settings = config(per_device_train_batch_size=8)

    def waste(batches: list[list[Encoded]]) -> float:
        real = sum(len(row.ids) for batch in batches for row in batch)
        return sum(max(len(row.ids) for row in batch) * len(batch) for batch in batches) / real - 1

    batches = epoch_batches(examples, chat, settings, 0)
    rows = [row for e in examples for row in encode_example(chat, e.messages, settings)]
    assert waste(batches) < 0.25 * waste([rows[start : start + 8] for start in range(0, 128, 8)])


@pytest.mark.parametrize("rounds", [1, 4])
def test_rounds_per_example_puts_questions_in_a_row(chat: Chat, rounds: int) -> None:
    settings = config(rounds_per_example=rounds, per_device_train_batch_size=1)
    batches = epoch_batches([pair(number) for number in range(60)], chat, settings, 0)
    depths = Counter(batch[0].targets.count(chat.stop_id) for batch in batches)
    assert set(depths) == set(range(1, rounds + 1))


def test_chatglm2_teaches_each_reply_of_a_dialogue_once_in_its_own_row() -> None:
    chat = Chat("chatglm2", GlmTokenizer(GLM))
    first = dialogue(1, 3).messages
    messages = (*first[:3], replace(first[3], learn=False), *first[4:])
    rows = encode_example(chat, messages, config())
    assert rows == [chat.encode(messages[:2], prefixed=True), chat.encode(messages, prefixed=True)]
    settings = config(rounds_per_example=4)
    batches = epoch_batches([pair(n) for n in range(30)] + [dialogue(1, 3)], chat, settings, 0)
    assert set(taught(chat, batches).values()) == {1} and taught(chat, batches).total() == 33


def test_dialogues_are_kept_as_they_are(chat: Chat) -> None:
    examples = [pair(1), dialogue(1, 3), pair(2)]
    batches = epoch_batches(examples, chat, config(rounds_per_example=4), 0)
    ids = [row.ids for batch in batches for row in batch]
    assert chat.encode(examples[1].messages, prefixed=True).ids in ids


def test_oldest_rounds_are_dropped_whole(chat: Chat) -> None:
    messages = dialogue(1, 4).messages
    room = len(chat.encode(messages[2:-1], prefixed=True).ids)
    (kept,) = encode_example(chat, messages, config(max_source_length=room))
    assert kept == chat.encode(messages[2:], prefixed=True)
    (kept,) = encode_example(chat, messages, config(max_source_length=room - 1))
    assert kept == chat.encode(messages[4:], prefixed=True)


def test_a_question_too_long_by_itself_names_the_setting(chat: Chat) -> None:
    with pytest.raises(DatasetError, match="max_source_length") as caught:
        encode_example(chat, pair(1234).messages, config(max_source_length=3))
    assert "raise max_source_length" in str(caught.value) and "q1234" in str(caught.value)


@pytest.mark.parametrize("place", [1, 3])
def test_a_reply_too_long_names_the_setting(chat: Chat, place: int) -> None:
    messages = list(dialogue(1, 2).messages)
    messages[place] = Message("assistant", "zq" * 40)
    with pytest.raises(DatasetError, match="max_target_length") as caught:
        epoch_batches(
            [Example(tuple(messages), "dialogue", None)], chat, config(max_target_length=20), 0
        )
    assert "zqzq" in str(caught.value)


def test_the_longest_reply_that_is_allowed_is_whole(chat: Chat) -> None:
    reply = pair(1, 30).completion
    tokens = len(chat.tokenizer.encode(reply))
    (row,) = encode_example(chat, pair(1, 30).messages, config(max_target_length=tokens))
    assert chat.tokenizer.decode([t for t in row.targets if t != IGNORE]) == reply


def test_rows_are_padded_to_the_longest(chat: Chat) -> None:
    rows = [Encoded([5, 6, 7], [IGNORE, 7, 1]), Encoded([8], [1])]
    batch = collate(rows, torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert batch.real.tolist() == [[True, True, True], [True, False, False]]
    assert batch.real.dtype == torch.bool
    assert batch.targets.tolist() == [[IGNORE, 7, 1], [1, IGNORE, IGNORE]]

from collections import Counter
from dataclasses import replace
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


def arranged(
    examples: list[Example], chat: Chat, settings: TrainConfig, epoch: int
) -> list[list[Encoded]]:
    """The batches of an epoch, from the examples on."""
    lessons = [encode_example(chat, example.messages, settings) for example in examples]
    return epoch_batches(lessons, settings, epoch)


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
    size=st.integers(1, 9),
    epoch=st.integers(0, 3),
)
def test_epochs_teach_every_reply_in_turn(
    chat: Chat, pairs: list[int], dialogues: list[int], size: int, epoch: int
) -> None:
    examples = [pair(number, length) for number, length in enumerate(pairs)]
    examples += [dialogue(number, length) for number, length in enumerate(dialogues)]
    settings = config(per_device_train_batch_size=size)
    batches = arranged(examples, chat, settings, epoch)
    replies = [[m.text for m in example.messages if m.role == "assistant"] for example in examples]
    assert taught(chat, batches) == Counter(each[epoch % len(each)] for each in replies)
    assert all(1 <= len(batch) <= size for batch in batches)
    # Only the last batch may be short.
    assert sum(len(batch) < size for batch in batches) <= 1


def test_an_epoch_is_a_function_of_seed_and_number(chat: Chat) -> None:
    examples = [pair(number, number % 7) for number in range(30)]

    def order(epoch: int, seed: int = 0) -> list[list[int]]:
        settings = config(seed=seed)
        return [row.ids for batch in arranged(examples, chat, settings, epoch) for row in batch]

    assert order(0) == order(0)
    assert order(0) != order(1)
    assert order(0) != order(0, seed=1)


def test_examples_with_the_same_history_go_together(chat: Chat) -> None:
    histories = [
        tuple(replace(m, learn=False) for m in dialogue(number, 2).messages) for number in range(3)
    ]
    examples = [
        Example((*history, *pair(number).messages), "depth", "fact")
        for number in range(6)
        for history in histories
    ]
    batches = arranged(examples, chat, config(per_device_train_batch_size=6), 0)
    assert len(batches) == 3
    assert all(len({tuple(row.ids[: row.history]) for row in batch}) == 1 for batch in batches)
    assert all(collate(batch, torch.device("cpu")).ids.shape[0] == 1 for batch in batches)


def test_each_reply_of_a_dialogue_is_taught_once_in_its_own_row(chat: Chat) -> None:
    first = dialogue(1, 3).messages
    messages = (*first[:3], replace(first[3], learn=False), *first[4:])
    rows = encode_example(chat, messages, config())
    context = [replace(message, learn=False) for message in messages[:-1]]
    assert rows == [
        chat.encode(messages[:2], prefixed=True),
        chat.encode([*context, messages[-1]], prefixed=True, apart=True),
    ]
    assert rows[1].history > 0
    whole = encode_example(chat, messages, config(anchored=False))
    assert whole[1] == chat.encode([*context, messages[-1]], prefixed=True)


def test_oldest_rounds_are_dropped_whole(chat: Chat) -> None:
    messages = chat.lessons(dialogue(1, 4).messages)[-1]
    room = len(chat.encode(messages[2:-1], prefixed=True, apart=True).ids)
    (kept,) = encode_example(chat, messages, config(max_source_length=room))
    assert kept == chat.encode(messages[2:], prefixed=True, apart=True)
    (kept,) = encode_example(chat, messages, config(max_source_length=room - 1))
    assert kept == chat.encode(messages[4:], prefixed=True, apart=True)


def test_a_question_too_long_by_itself_names_the_setting(chat: Chat) -> None:
    with pytest.raises(DatasetError, match="max_source_length") as caught:
        encode_example(chat, pair(1234).messages, config(max_source_length=3))
    assert "raise max_source_length" in str(caught.value) and "q1234" in str(caught.value)


@pytest.mark.parametrize("place", [1, 3])
def test_a_reply_too_long_names_the_setting(chat: Chat, place: int) -> None:
    messages = list(dialogue(1, 2).messages)
    messages[place] = Message("assistant", "zq" * 40)
    with pytest.raises(DatasetError, match="max_target_length") as caught:
        arranged(
            [Example(tuple(messages), "dialogue", None)], chat, config(max_target_length=20), 0
        )
    assert "zqzq" in str(caught.value)


def test_the_longest_reply_that_is_allowed_is_whole(chat: Chat) -> None:
    reply = pair(1, 30).completion
    tokens = len(chat.tokenizer.encode(reply))
    (row,) = encode_example(chat, pair(1, 30).messages, config(max_target_length=tokens))
    assert chat.tokenizer.decode([t for t in row.targets if t != IGNORE]) == reply


def test_examples_are_packed_and_share_their_history() -> None:
    history = [5, 6]
    rows = [
        Encoded([*history, 7, 8], [IGNORE, IGNORE, 8, 1], 2),
        Encoded([*history, 9], [IGNORE, IGNORE, 1], 2),
        Encoded([3, 4], [IGNORE, 1]),
        Encoded([9, 7], [IGNORE, 1], 1),
    ]
    batch = collate(rows, torch.device("cpu"))
    assert batch.ids.tolist() == [[5, 6, 9, 7, 8, 9, 3, 4, 7]]
    assert batch.history == 3
    assert batch.where.tolist() == [[-2, -1, -1, 0, 1, 0, 0, 1, 0]]
    piece, follows = batch.pieces[0].tolist()
    assert piece == [1, 1, 6, 2, 2, 3, 5, 5, 7] and follows == [1, 1, 6, 1, 1, 1, 4, 4, 6]
    assert batch.targets.tolist() == [[IGNORE] * 3 + [8, 1, 1, IGNORE, 1, 1]]
    assert batch.real.all() and batch.real.dtype == torch.bool


def test_trunks_end_in_one_column() -> None:
    rows = [Encoded([1] * 700, [1] * 700, 300), Encoded([5] * 200, [1] * 200, 100)]
    batch = collate(rows, torch.device("cpu"))
    assert batch.ids.shape == (2, 700) and batch.history == 300
    assert batch.real[1].tolist() == [False] * 200 + [True] * 200 + [False] * 300
    assert batch.targets[1].tolist() == [IGNORE] * 300 + [1] * 100 + [IGNORE] * 300


def test_a_sequence_is_not_packed_beyond_its_bound() -> None:
    rows = [Encoded([5] * 300, [1] * 300)] * 5
    batch = collate(rows, torch.device("cpu"))
    assert batch.ids.shape == (3, 600) and int(batch.real.sum()) == 1500

import pytest

from trainer.chat import Message
from trainer.example import Example

ASK, REPLY = Message("user", "你是谁"), Message("assistant", "咱是沐雪")
MORE, END = Message("user", "几岁了"), Message("assistant", "十六岁")


def test_the_official_columns() -> None:
    example = Example((ASK, REPLY, MORE, END), "dialogue", None)
    assert (example.prompt, example.completion) == ("几岁了", "十六岁")
    assert example.history == [["你是谁", "咱是沐雪"]]
    assert example.questions == ("你是谁", "几岁了")


def test_a_pair_has_no_history() -> None:
    assert Example((ASK, REPLY), "pair", "name").history == []


@pytest.mark.parametrize(
    "messages", [(), (ASK,), (REPLY, ASK), (ASK, REPLY, MORE), (ASK, MORE), (ASK, ASK, REPLY, END)]
)
def test_speakers_must_take_turns(messages: tuple[Message, ...]) -> None:
    with pytest.raises(ValueError, match="take turns"):
        Example(messages, "pair", None)

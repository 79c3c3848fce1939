import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.chat import Message
from trainer.talk import Language
from trainer.talk_check import bank_talk, overlap, twins
from trainer.wording import canonical


def users(*texts: str) -> list[Message]:
    return [Message("user", text) for text in texts]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_shipped_banks_share_nothing(language: Language) -> None:
    assert len(bank_talk(language, "test")) > 300
    assert overlap(language) == []


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_test_text_in_the_training_bank_is_found(
    language: Language, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trainer import talk_check

    test = talk_check.scraps(language, "test")
    scraps = talk_check.scraps
    monkeypatch.setattr(
        talk_check,
        "scraps",
        lambda of, bank: (*scraps(of, "train"), test[3]) if bank == "train" else scraps(of, bank),
    )
    found = overlap(language)
    assert {twin.text for twin in found} == {text for pair in test[3] for text in pair}
    assert all(twin.exact for twin in found)


def test_equal_and_nearly_equal_texts_are_twins() -> None:
    ours = users("你是谁？", "今天的天气怎么样呀，适合出门吗", "水开了几分钟", "!!!")
    theirs = users("你是谁呀", "今天天气怎么样呀，适合出门吗", "火车几点开", "???")
    exact, near = twins(ours, theirs)
    assert (exact.text, exact.other, exact.exact) == ("你是谁？", "你是谁呀", True)
    assert (near.text, near.other, near.exact) == (
        "今天的天气怎么样呀，适合出门吗",
        "今天天气怎么样呀，适合出门吗",
        False,
    )


def test_a_question_is_not_compared_with_a_reply() -> None:
    assert not twins(users("好的"), [Message("assistant", "好的")])
    assert twins([Message("assistant", "好的")], [Message("assistant", "好的。")])


@given(st.lists(st.text(min_size=1), max_size=6), st.lists(st.text(min_size=1), max_size=6))
def test_a_text_is_its_own_twin_and_equals_are_always_found(
    ours: list[str], theirs: list[str]
) -> None:
    own = {canonical(text) or text for text in ours}
    assert {canonical(t.text) or t.text for t in twins(users(*ours), users(*ours))} == own
    exact = {canonical(t.text) or t.text for t in twins(users(*ours), users(*theirs)) if t.exact}
    assert exact == own & {canonical(text) or text for text in theirs}

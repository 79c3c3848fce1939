from hypothesis import given
from hypothesis import strategies as st

from bot.text import split_text, utf16_length

LIMIT = 4096


def test_what_fits_stays_whole() -> None:
    assert split_text("在下名为沐雪。", LIMIT) == ["在下名为沐雪。"]
    assert split_text("", LIMIT) == []


def test_4097_characters_lose_nothing() -> None:
    text = "雪" * 4097
    pieces = split_text(text, LIMIT, utf16_length)
    assert [len(piece) for piece in pieces] == [4096, 1]
    assert "".join(pieces) == text


def test_utf16_counts_an_emoji_twice() -> None:
    assert utf16_length("a雪😀") == 4
    pieces = split_text("😀" * 2049, LIMIT, utf16_length)
    assert [len(piece) for piece in pieces] == [2048, 1]


def test_a_sentence_is_cut_after_its_end() -> None:
    assert split_text("咱在这里。你来了吗", 8) == ["咱在这里。", "你来了吗"]
    assert split_text("He said “stop!” And then went", 20) == ["He said “stop!” ", "And then went"]


def test_a_paragraph_goes_before_a_sentence_and_a_sentence_before_a_clause() -> None:
    assert split_text("一二三四。\n五六。七八九十", 9)[0] == "一二三四。\n"
    assert split_text("一二三四。五，六七八九十", 9)[0] == "一二三四。"
    assert split_text("一二三四五，六七八九十", 9)[0] == "一二三四五，"


def test_an_early_end_does_not_make_a_tiny_message() -> None:
    assert split_text("好。" + "雪" * 20, 20)[0] == "好。" + "雪" * 18


def test_a_number_is_not_cut_at_its_point() -> None:
    assert split_text("pi is 3.14159", 9) == ["pi is ", "3.14159"]


def test_signs_of_several_characters_stay_whole() -> None:
    family = "👨\u200d👩\u200d👧"
    assert split_text("雪" * 7 + family, 10)[0] == "雪" * 7
    assert split_text("雪" * 9 + "e\u0301", 10)[0] == "雪" * 9


@given(st.text(max_size=400), st.integers(min_value=2, max_value=40))
def test_pieces_fit_and_are_the_text(text: str, limit: int) -> None:
    pieces = split_text(text, limit, utf16_length)
    assert "".join(pieces) == text
    assert all(0 < utf16_length(piece) <= limit for piece in pieces)

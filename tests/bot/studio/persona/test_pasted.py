"""Conversations as people paste them."""

from __future__ import annotations

import time

import pytest

from bot.studio.persona.pasted import Line, as_dialogues, guess_bot, read_pasted, speech, written

HELLO = [Line("user", "你好"), Line("bot", "你好呀")]

PASTES = {
    "letters": ("A: 你好\nB: 你好呀", "B"),
    "pronouns": ("我：你好\n她：你好呀", "她"),
    "english": ("User: 你好\n\nAssistant: 你好呀\n", "Assistant"),
    "bold": ("**User:** 你好\n\n**Mu Xue**: 你好呀", "Mu Xue"),
    "bullets": ("- 我：你好\n- 雪雪：你好呀", "雪雪"),
    "qq": ("野鹤 2024/3/12 21:05:33\n你好\n\n沐雪 2024/3/12 21:06:01\n你好呀", "沐雪"),
    "qq numbers": ("野鹤(123456) 21:05:33\n你好\n沐雪(7654321) 21:06:01\n你好呀", "沐雪"),
    "qq export": ("2024-03-12 21:05:33 野鹤\n你好\n2024-03-12 21:06:01 沐雪\n你好呀", "沐雪"),
    "telegram": ("[12.03.24 21:05] Crane: 你好\n[12.03.24 21:06] 沐雪: 你好呀", "沐雪"),
    "telegram desktop": (
        "Crane, [2024/3/12 21:05]\n你好\n\n沐雪, [2024/3/12 21:06]\n你好呀",
        "沐雪",
    ),
    "whatsapp": ("12/03/2024, 21:05 - Crane: 你好\n12/03/2024, 21:06 - 沐雪: 你好呀", "沐雪"),
    "windows": ("\ufeff我：你好\r\n她：你好呀\r\n", "她"),
}


@pytest.mark.parametrize("kind", PASTES)
def test_who_says_what(kind: str) -> None:
    text, bot = PASTES[kind]
    found = read_pasted(text)
    assert guess_bot(list(found.speakers), ["沐雪", "雪雪"]) == bot
    assert as_dialogues(found, bot) == [HELLO]


def test_further_lines_go_on() -> None:
    found = read_pasted("A: one\ntwo: no name of a speaker?\nB: three\n四\n")
    [talk] = as_dialogues(found, "B")
    assert talk[-1] == Line("bot", "three\n四")


def test_a_blank_line_or_a_rule_parts_dialogues() -> None:
    text = "A: 1\nB: 2\n\nA: 3\nB: 4\n---\nA: 5\n\nB: 6\n"
    talks = as_dialogues(read_pasted(text), "B")
    assert [[line.text for line in talk] for talk in talks] == [["1", "2"], ["3", "4"], ["5", "6"]]


def test_turns_are_made_to_alternate() -> None:
    text = "B: before anyone\nA: 1\nA: 2\nC: 3\nB: 4\nB: 5\nA: unanswered"
    [talk] = as_dialogues(read_pasted(text), "B")
    assert talk == [Line("user", "1\n2\n3"), Line("bot", "4\n5")]


def test_what_no_one_said_is_told() -> None:
    found = read_pasted("just a text\nhttps://example.org\nat 10:30 we met\n")
    assert found.talks == ()
    assert found.unread == ("just a text", "https://example.org", "at 10:30 we met")


@pytest.mark.parametrize("text", ["", "\n\n", ":::", "：", "A:", "[", "\0", "🦊" * 5000])
def test_nothing_makes_it_fail(text: str) -> None:
    assert as_dialogues(read_pasted(text), "A") == []


def test_a_dialogue_survives_its_field() -> None:
    said = [Line("user", "hi: you"), Line("bot", "12:30 it is\nor later"), Line("user", "a")]
    assert speech(written(said), {}) == said
    assert speech("我：你好\n沐雪：你好呀", {"沐雪": "bot"}) == HELLO


def test_a_megabyte_is_read_at_once() -> None:
    started = time.monotonic()
    for text in ("A: " + "x" * 1_000_000, "A: hello\nB: world\n" * 55_000, "2024 " * 200_000):
        as_dialogues(read_pasted(text), "B")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("line", ["a{}b", "[{}b", "a{}12:30 x", "a ({})", "**a{}b", "a{}:b"])
def test_a_line_of_blanks_is_read_as_fast_as_another(line: str) -> None:
    """Else one paste would stop the studio for everyone: ten thousand blanks took days."""
    pasted = read_pasted(line.format(" " * 10_000))
    assert pasted.talks or pasted.unread

"""Edits by value: what is meant is read back, and all else stays as its author wrote it."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.studio.persona.edit import Change, Value, edited, sound
from trainer.errors import SourceError
from trainer.persona import parse_persona
from trainer.strict_yaml.tree import Loc
from trainer.templates import new_persona

FACT = {"id": "new", "ask": ["a?", "b?"], "answer": ["c: d"], "expect": "c"}
SHIPPED = sorted((Path(__file__).parents[4] / "personas").glob("*.yaml"))


def read(text: str, *loc: int | str) -> object:
    node = sound(text).node(*loc)
    return None if node is None else node.data()


def differences(former: str, later: str) -> list[str]:
    """The lines that went and came, without the blank ones."""
    steps = difflib.ndiff(former.splitlines(), later.splitlines())
    return [line for line in steps if line[0] in "+-" and line[1:].strip()]


def test_one_line_changes_and_comments_stay() -> None:
    before = new_persona("Lin", "en")
    after = edited(before, [Change(("facts", 0, "id"), "who")])
    assert differences(before, after) == [
        "-   - id: name                # begins with a lower case letter; each id once",
        "+   - id: who                 # begins with a lower case letter; each id once",
    ]


def test_a_wording_is_added_in_the_style_of_the_list() -> None:
    before = new_persona("Lin", "en")
    asked = [*_texts(before, "facts", 1, "ask"), "Which country, then?"]
    after = edited(before, [Change(("facts", 1, "ask"), asked)])
    [gone, came] = differences(before, after)
    assert came == gone.replace("- ", "+ ", 1).replace("?]", "?, 'Which country, then?']")


def test_only_the_fact_in_question_is_written_anew() -> None:
    for path in SHIPPED:
        before = path.read_text("utf-8")
        after = edited(before, [Change(("facts", 3, "reject"), "I am a (cat|dog)")])
        assert [line[0] for line in differences(before, after)] in (["-", "+"], ["+"]), path
    assert len(SHIPPED) >= 2


@pytest.mark.parametrize(
    ("loc", "value"),
    [
        (("name",), "Lin: the second"),
        (("summary",), "one line # no comment\nand another"),
        (("aliases",), ["Linnie", "12", "true", "- dash", "a: b", "é 雪"]),
        (("aliases",), []),
        (("voice", "habits"), ["says 'well'", 'and "so"']),
        (("voice", "avoid"), []),
        (("leaks",), [r"\bmodel\b", "it's|GPT", "[Aa]I"]),
        (("greeting",), "Hello!"),
        (("lorebook",), [{"keys": ["lamp"], "content": "It\nburns."}]),
        (("dialogues",), [[{"user": "Hi"}, {"bot": "Ho"}]]),
        (("dialogues", 0), [{"user": "Hi"}, {"bot": "Ho\n\nhum"}]),
        (("facts", 0, "expect"), r"(?<!\d)16(?!\d)|it's"),
        (("facts", 2, "answer"), ["x", "y # z"]),
    ],
)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_written_is_read_back(loc: Loc, value: Value, language: str) -> None:
    before = new_persona("Lin", "en" if language == "en" else "zh")
    after = edited(before, [Change(loc, value)])
    assert _plain(read(after, *loc)) == value
    comments = [line for line in before.splitlines() if line.startswith("#")]
    assert [line for line in after.splitlines() if line.startswith("#")] == comments
    others = set(sound(before).root.entries or {}) - {loc[0]}
    assert all(read(after, key) == read(before, key) for key in others)


def test_a_value_is_written_where_the_file_has_no_such_key() -> None:
    for key, value in (("aliases", ["x"]), ("greeting", "hi"), ("lorebook", [])):
        lines = new_persona("Lin", "en").splitlines(keepends=True)
        bare = "".join(line for line in lines if not line.startswith(key))
        after = edited(bare, [Change((key,), value)])
        assert read(after, key) == value
        assert parse_persona(after)[0] is not None
    after = edited("name: x\nfacts: []\n", [Change(("voice", "habits"), ["hm"])])
    assert list(sound(after).root.entries or {}) == ["name", "voice", "facts"]


def test_members_come_and_go() -> None:
    before = new_persona("Lin", "en")
    more = edited(before, [Change(("facts", 99), FACT)])
    assert [fact["id"] for fact in read(more, "facts")] == ["name", "home", "likes", "new"]  # type: ignore[attr-defined]
    assert edited(more, [Change(("facts", 3), None)]) == before
    assert edited(before, [Change(("facts", 3), FACT), Change(("facts", 3), None)]) == before
    none = edited(before, [Change(("facts", 0), None)] * 3)
    assert read(none, "facts") == []
    assert "# Whole conversations" in none
    assert read(edited(none, [Change(("facts",), [FACT])]), "facts", 0, "id") == "new"


def test_what_stands_between_two_facts_stays_when_one_goes() -> None:
    text = "name: x\nfacts:\n  # first\n  - id: a\n    ask: [q]\n  # second\n  - id: b\n"
    after = edited(text, [Change(("facts", 0), None)])
    assert after == "name: x\nfacts:\n  # first\n  # second\n  - id: b\n"


@pytest.mark.parametrize(
    "text",
    [
        "{name: x, facts: [{id: a, ask: [q], expect: e}]}\n",
        "name: x\nfacts: [{id: a, ask: [q], expect: e}]\n",
        "name: x\nfacts:\n- id: a\n  ask:\n  - q\n  expect: e\n",
        "name: x\nfacts:\n-\n  id: a\n  ask: [q]\n  expect: e",
        "name: x\nfacts:\n  -   id: a\n      ask: [q]\n      expect: >\n        e\n\n\n",
    ],
)
def test_any_layout_can_be_edited(text: str) -> None:
    after = edited(
        text,
        [
            Change(("facts", 0, "ask"), ["q", "r"]),
            Change(("facts", 1), FACT),
            Change(("facts", 0, "expect"), "f"),
            Change(("name",), "y"),
        ],
    )
    assert read(after, "name") == "y"
    assert read(after, "facts", 0, "ask") == ["q", "r"]
    assert str(read(after, "facts", 0, "expect")).strip() == "f"
    assert read(after, "facts", 1) == FACT
    assert read(edited(after, [Change(("facts", 0), None)]), "facts") == [FACT]


def test_a_broken_text_is_refused_with_its_place() -> None:
    with pytest.raises(SourceError) as caught:
        edited("name: x\nfacts: [\n", [Change(("name",), "y")])
    assert caught.value.faults[0].line == 3


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=30)


@given(st.lists(TEXT.map(str.strip).filter(bool), max_size=5), st.integers(0, 2))
def test_any_text_survives(members: list[str], fact: int) -> None:
    before = new_persona("Lin", "zh")
    try:
        after = edited(before, [Change(("facts", fact, "answer"), members)])
    except SourceError:  # what YAML cannot hold is refused, and never changed
        return
    assert _plain(read(after, "facts", fact, "answer")) == members
    assert read(after, "dialogues") == read(before, "dialogues")


def _texts(text: str, *loc: int | str) -> list[str]:
    return [one for _, one in sound(text).texts(*loc)]


def _plain(value: object) -> object:
    """As the file says it, before YAML makes numbers of text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def test_blank_lines_after_a_colon_are_no_work() -> None:
    """Each once doubled the time that an edit took."""
    text = "name: Lin\nsummary: |\n  Likes:\n" + "\n" * 200 + "  Tea.\n"
    assert "Lina" in edited(text, [Change(("name",), "Lina")])

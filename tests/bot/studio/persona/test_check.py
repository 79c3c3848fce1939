"""The check of a text that is being typed, what it is shown as, and how fast."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bot.studio.persona import view as view
from bot.studio.persona.advice import extent, other_wordings, uncovered
from bot.studio.persona.check import check_text
from bot.studio.persona.compiled import TEST, compiled, kinds
from trainer.check import check_persona
from trainer.errors import RensheError
from trainer.persona import Persona, load_persona
from trainer.templates import new_persona

TEXT = new_persona("Lin", "en")
MUXUE = Path(__file__).parents[4] / "personas" / "muxue.yaml"


@pytest.fixture(scope="module")
def muxue() -> Persona:
    return load_persona(MUXUE)


def test_it_finds_what_renshe_check_finds(tmp_path: Path) -> None:
    wrong = TEXT.replace("expect: rain", "expect: snow").replace("[I]", "I").replace("id: home", "")
    path = tmp_path / "lin.yaml"
    for text in (TEXT, wrong, wrong + "x: [\n", ""):
        path.write_text(text, "utf-8")
        told = [(one.line, one.column, one.code) for one in check_persona(path).faults]
        assert [(one.line, one.column, one.code) for one in check_text(text).faults] == told


def test_a_syntax_error_makes_it_unreadable_for_the_form() -> None:
    found = check_text(TEXT.replace("facts:", "facts: ]"))
    assert (found.readable, found.document, found.persona) == (False, None, None)
    assert found.errors[0].line == 19
    assert not check_text(TEXT + "name: twice\n").readable


def test_the_faults_of_one_fact() -> None:
    found = check_text(TEXT.replace("expect: rain", "expect: snow"))
    assert [len(found.inside("facts", index)) for index in range(3)] == [0, 0, 1]
    assert found.inside("dialogues", 0) == []


def test_a_keystroke_in_a_long_persona_is_checked_in_half_a_second() -> None:
    text = MUXUE.read_text("utf-8")
    check_text(text)
    times = []
    for number in range(3):
        started = time.process_time()  # of this process: others may be busy
        checked = check_text(text + f"# {number}")
        view.facts_table(checked, 0)
        times.append(time.process_time() - started)
    assert min(times) < 0.5


def test_too_long_a_text_is_refused() -> None:
    with pytest.raises(RensheError, match="2,000,000 characters"):
        check_text("x" * 2_000_000)


def test_nothing_of_a_file_becomes_markup() -> None:
    evil = "<img src=x onerror=alert(1)>"
    text = TEXT.replace("[I]", f"['{evil}']").replace("Where do you live?", f"'{evil}'")
    text = text.replace("expect: sea|waves", f"expect: '{evil}'").replace("Busy in", f"{evil} in")
    checked = check_text(text)
    drawn = [
        view.faults(checked, text),
        view.facts_table(checked, 0),
        view.talks_list(checked, 0),
        view.brief_faults(checked.faults),
        view.difference(TEXT, text),
        view.bubbles([("user", evil)]),
        view.wordings([evil]),
        view.error(RensheError(evil, fix=evil)),
        view.status(checked, "saved"),
    ]
    assert all("<img" not in html for html in drawn)
    assert sum("&lt;img" in html for html in drawn) >= 7


def test_each_fault_leads_to_its_line() -> None:
    text = TEXT.replace("expect: rain", "expect: snow")
    html = view.faults(check_text(text), text)
    assert "data-line='39'" in html
    assert "does not match its own expect" in html
    assert "Rainy ones, you know." in html


def test_what_people_ask_and_nobody_answers(muxue: Persona) -> None:
    names = {intent.name for intent in uncovered(muxue)}
    assert {"zodiac", "fav_book"} <= names
    assert names.isdisjoint({"name", "age", "birthday", "is_ai"})
    assert extent(muxue).facts == 51


def test_other_wordings_ask_the_same_and_are_new(muxue: Persona) -> None:
    offered = other_wordings(muxue, muxue.facts[0])
    assert offered and all("名" in text or "叫" in text or "称呼" in text for text in offered)
    assert not set(offered) & {text for fact in muxue.facts for text in fact.ask}
    dory = load_persona(MUXUE.with_name("dory.yaml"))
    age = next(fact for fact in dory.facts if fact.id == "age")
    assert any("old" in text or "age" in text for text in other_wordings(dory, age))


def test_what_will_be_taught(muxue: Persona) -> None:
    made = compiled(muxue)
    assert set(made.examples) <= set(kinds())
    assert {"pair", "depth", "recovery", "dialogue", TEST} <= set(made.examples)
    assert made.taught == sum(map(len, made.examples.values())) - len(made.examples[TEST])
    asked = {example.prompt for example in made.examples[TEST]}
    taught = {one.prompt for kind, rows in made.examples.items() if kind != TEST for one in rows}
    assert not asked & taught

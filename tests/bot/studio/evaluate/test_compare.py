import re

from bot.studio.evaluate.compare import comparison
from tests.retentions import cell, reply, retention
from tests.trainer.test_report import Page
from trainer.probes import History
from trainer.retention_file import Cell, Retention


def asked(history: History, depth: int, **rights: str) -> Cell:
    """A cell; for each fact a letter a wording: r, w or l."""
    replies = [
        reply(fact, taught=index > 0, right=letter == "r", leaked=letter == "l",
              question=f"{fact} {index}")
        for fact, letters in rights.items()
        for index, letter in enumerate(letters)
    ]  # fmt: skip
    return cell(history, depth, *replies)


def before(**changed: object) -> Retention:
    return retention(
        asked("neutral", 0, name="rr", boat="rr"),
        asked("neutral", 8, name="rw", boat="lw"),
        asked("leaked", 8, name="rr", boat="rr"),
        **changed,
    )


def after(**changed: object) -> Retention:
    return retention(
        asked("neutral", 0, name="rr", boat="rw"),
        asked("neutral", 8, name="rr", boat="ww"),
        asked("in_persona", 4, name="rr", boat="rr"),
        **changed,
    )


def shown(one: Retention, other: Retention) -> Page:
    return Page(comparison(one, other, ("old", "new")))


def test_facts_that_changed_have_an_arrow_where_they_did() -> None:
    page = shown(before(), after())
    assert page.count("span", **{"class": "v right"}) == 2
    assert page.count("span", **{"class": "v wrong"}) == 1
    assert re.search(r"name\s*↑ 1/2→2/2", page.text) and "↓ 2/2→1/2" in page.text
    assert "↑ 2 ↓ 1" in page.text


def test_the_headline_is_of_the_deepest_talk_that_both_have() -> None:
    page = shown(before(), after())
    assert "Recall · small talk k=8" in page.text and "50% → 50%" in page.text
    assert page.count("em", **{"class": "up"}) >= 2, "TrainPair rose and Leak fell"
    assert "25% → 0% -25" in page.text


def test_to_leak_is_worse_than_to_be_wrong_and_looks_so() -> None:
    worse = retention(asked("neutral", 0, name="ll", boat="rr"))
    page = shown(before(), worse)
    assert page.count("span", **{"class": "v leak"}) == 1 and "↓! 2/2→0/2" in page.text


def test_what_only_one_of_them_measured_is_named() -> None:
    text = shown(before(), after()).text
    assert "Measured in one only: leaked talk k=8, own talk k=4." in text


def test_runs_of_two_personas_are_compared_by_their_figures_alone() -> None:
    page = shown(before(persona="Marlin"), after())
    assert "old is Marlin and new is Dory" in page.text
    assert "25% → 0% -25" in page.text
    assert "Facts that changed" not in page.text and page.count("span", **{"class": "v right"}) == 0


def test_runs_without_a_depth_in_common_say_so_and_what_to_do() -> None:
    page = shown(retention(asked("leaked", 2, name="r")), retention(asked("neutral", 8, name="r")))
    assert "nothing to compare" in page.text and "Measure both equally closely" in page.text
    assert page.count("table") == 0


def test_an_edited_persona_and_other_settings_are_told() -> None:
    subject = before().subject.model_copy(update={"persona_digest": "x", "limit": 4})
    one = before(subject=subject, facts=("name", "boat", "gull"))
    text = shown(one, after(facts=("name", "boat", "kettle"))).text
    assert "edited between the two" in text and "--limit" in text
    assert "Facts of old alone: gull" in text and "Facts of new alone: kettle" in text


def test_a_run_does_not_differ_from_itself() -> None:
    page = shown(before(), before())
    assert "No fact got better or worse" in page.text
    assert page.count("em", **{"class": "down"}) == 1, "only the count of worse facts"


def test_figures_that_are_no_numbers_break_nothing() -> None:
    """A checkpoint that diverged."""
    broken = before()
    cells = []
    for one in broken.cells:
        assert one.recall
        figure = one.recall.model_copy(update={"value": float("nan")})
        cells.append(one.model_copy(update={"recall": figure}))
    assert "nan%" in shown(broken.model_copy(update={"cells": tuple(cells)}), after()).text

"""What a page does with a persona, without a page."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.studio.persona.changes import add_fact, add_missing, add_talk, add_wording, drop_fact
from bot.studio.persona.desk import ChangedError
from bot.studio.persona.edit import sound
from bot.studio.persona.fields import NAMES, Fields, changes, lines, shown
from bot.studio.persona.page import PersonaPage, received, with_dialogues, with_fact, without
from bot.studio.persona.pasted import Line
from bot.studio.persona.place import History, Place
from bot.studio.workshop import Workshop
from trainer.errors import RensheError, SourceError
from trainer.persona import parse_persona
from trainer.templates import new_persona

TEXT = new_persona("Lin", "en")


@pytest.fixture
def page(workshop: Workshop) -> PersonaPage:
    return PersonaPage(workshop)


# --- the form -------------------------------------------------------------------------------


def test_a_form_that_was_not_touched_changes_nothing() -> None:
    for text in (TEXT, new_persona("林", "zh")):
        document = sound(text)
        for fact in range(4):
            assert changes(document, shown(document, fact, 0), fact, 0) == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("language", "talk")])
def test_each_field_reaches_the_file_and_comes_back(page: PersonaPage, name: str) -> None:
    new = {"fact_id": "other", "lorebook": "sea, tide = It comes back.", "expect": "Lin|shop"}
    value = new.get(name, "first line")
    place = Place("lin", fact=0)
    fields = replace(shown(sound(TEXT), 0, 0), **{name: value})
    text = page.merged(place, "form", TEXT, fields)
    assert text != TEXT
    assert getattr(shown(sound(text), 0, 0), name) == value


def test_a_dialogue_is_edited_as_it_is_read(page: PersonaPage) -> None:
    fields = replace(shown(sound(TEXT), 0, 0), talk="User: Hi\nBot: Hello,\nyou know.")
    text = page.merged(Place("lin"), "form", TEXT, fields)
    persona = parse_persona(text)[0]
    assert persona is not None
    assert [turn.text for turn in persona.dialogues[0]] == ["Hi", "Hello,\nyou know."]


def test_a_new_name_leaves_the_dialogue_alone(page: PersonaPage) -> None:
    fields = replace(shown(sound(TEXT), 0, 0), name="Somebody")
    text = page.merged(Place("lin"), "form", TEXT, fields)
    assert sound(text).node("dialogues").data() == sound(TEXT).node("dialogues").data()  # type: ignore[union-attr]


def test_the_yaml_wins_where_it_was_typed_last(page: PersonaPage) -> None:
    stale = replace(shown(sound(TEXT), 0, 0), summary="old")
    assert page.merged(Place("lin"), "yaml", TEXT, stale) == TEXT


def test_fields_of_no_fact_make_none(page: PersonaPage) -> None:
    text = without(without(without(TEXT, "facts", 0), "facts", 0), "facts", 0)
    fields = replace(shown(sound(text), 0, 0), ask="typed into nothing")
    assert page.merged(Place("lin"), "form", text, fields) == text


def test_a_line_break_inside_a_member_is_one_line_of_the_field() -> None:
    text = TEXT.replace("greeting: Come in, have a look around.", "aliases2: x").replace(
        "[language model,", '["a\\nb", language model,'
    )
    assert lines(shown(sound(text), 0, 0).leaks)[0] == "a\nb"


def test_the_form_shows_what_it_can_of_a_strange_file() -> None:
    document = sound("name: [x]\nfacts: no list\nsummary: {a: b}\ndialogues:\n  - one\nvoice: 3\n")
    assert shown(document, 0, 0) == Fields()


# --- opening, drafts, saving ----------------------------------------------------------------


def test_a_draft_is_offered_on_return_and_taken(page: PersonaPage) -> None:
    page.create("Lin", "en")
    sheet = page.open("lin", "first")
    page.keep_draft(sheet.place, "first", TEXT + "# more")
    again = page.open("lin", "second")
    assert again.text == TEXT
    assert [draft.text for draft in again.offers] == [TEXT + "# more"]
    taken = page.take_draft(again.place, "second", "first")
    assert (taken.text, taken.place.digest) == (TEXT + "# more", sheet.place.digest)
    assert [draft.page for draft in page.drafts.all("lin")] == ["second"]
    assert page.open("lin", "second").text == TEXT + "# more"


def test_a_draft_of_an_old_file_does_not_overwrite_the_new_one(page: PersonaPage) -> None:
    page.create("Lin", "en")
    old = page.open("lin", "first")
    page.keep_draft(old.place, "first", TEXT + "# mine")
    new = page.open("lin", "second")
    page.save(new.place, "second", TEXT + "# theirs")
    taken = page.take_draft(page.open("lin", "third").place, "third", "first")
    with pytest.raises(RensheError, match="changed elsewhere"):
        page.save(taken.place, "third", taken.text)


def test_saving_ends_the_draft_and_a_faulty_text_stays_one(page: PersonaPage) -> None:
    page.create("Lin", "en")
    place = page.open("lin", "one").place
    with pytest.raises(SourceError):
        page.save(place, "one", "name: [")
    assert page.drafts.all("lin")[0].text == "name: ["
    place = page.save(place, "one", TEXT + "# more")
    assert page.drafts.all("lin") == []
    assert not page.keep_draft(place, "one", TEXT + "# more\n\n")
    assert page.drafts.all("lin") == []


def test_a_file_that_is_gone_is_opened_from_its_draft(page: PersonaPage) -> None:
    page.create("Lin", "en")
    place = page.open("lin", "one").place
    page.keep_draft(place, "one", TEXT + "# mine")
    page.workshop.persona_file("lin").unlink()
    assert page.ids() == ["lin"]
    assert page.open("lin", "two").text == TEXT + "# mine"
    assert page.is_changed_elsewhere(place)


def test_taking_theirs_keeps_mine_as_a_version(page: PersonaPage) -> None:
    page.create("Lin", "en")
    place = page.open("lin", "one").place
    page.save(page.open("lin", "two").place, "two", TEXT + "# theirs")
    sheet = page.take_theirs(place, "one", TEXT + "# mine")
    assert sheet.text == TEXT + "# theirs\n"
    kept = [page.desk.version("lin", one.id) for one in page.desk.versions("lin")]
    assert TEXT + "# mine\n" in kept


def test_a_deleted_persona_is_found_among_its_versions(page: PersonaPage) -> None:
    page.create("Lin", "en")
    place = page.open("lin", "mine").place
    page.keep_draft(page.open("lin", "other").place, "other", TEXT + "# a draft\n")
    page.workshop.persona_file("lin").write_text(TEXT + "# elsewhere\n", "utf-8")
    with pytest.raises(ChangedError, match="changed elsewhere"):
        page.delete(place)
    assert page.ids() == ["lin"] and page.drafts.all("lin"), "nothing was deleted"

    page.delete(page.open("lin", "third").place)
    assert page.ids() == []
    page.create("Lin", "en")
    kept = [page.desk.version("lin", one.id) for one in page.desk.versions("lin")]
    assert kept[0] == TEXT + "# elsewhere\n" and TEXT + "# a draft\n" in kept


def test_shipped_personas_can_be_copied(page: PersonaPage) -> None:
    assert page.copy_example("muxue") == "muxue"
    assert page.open("muxue", "one").text.startswith("# yaml-language-server")
    with pytest.raises(RensheError, match="no such example"):
        page.copy_example("../secret")


@pytest.mark.parametrize("sent", ["", "{", "[]", "null", '{"id": 3}', '{"fact": -1}', '{"x": 1}'])
def test_a_place_that_makes_no_sense_is_none(sent: str) -> None:
    assert Place.received(sent) == Place()


def test_a_place_comes_back_as_it_was_sent() -> None:
    place = Place("muxue", "ab" * 32, "\r\n", 4, 2)
    assert Place.received(place.sent()) == place


# --- undo -----------------------------------------------------------------------------------


def test_typing_is_one_step_and_each_click_its_own() -> None:
    history = History(("a",)).then("ab", "yaml", 10.0).then("abc", "yaml", 11.0)
    history = history.then("abcd", "form", 11.5).then("abcd!", "", 11.6).then("!", "", 11.7)
    assert history.texts == ("a", "abc", "abcd", "abcd!", "!")
    assert history.undone().undone().texts[-1] == "abcd"
    assert History(("a",)).undone().texts == ("a",)


def test_history_is_bounded() -> None:
    history = History()
    for number in range(300):
        history = history.then(str(number), "", float(number))
    assert len(history.texts) == 100
    for number in range(9):
        history = history.then(str(number) * 1_000_000, "", float(number))
    assert sum(map(len, history.texts)) <= 4_000_000


# --- clicks ---------------------------------------------------------------------------------


def test_facts_and_dialogues_are_added_and_deleted() -> None:
    place, text = add_fact(Place("lin"), TEXT)
    assert (place.fact, shown(sound(text), 3, 0).fact_id) == (3, "fact-4")
    assert drop_fact(place, text)[1] == TEXT
    assert drop_fact(replace(place, fact=9), TEXT)[1] == TEXT
    place, text = add_talk(place, text)
    assert shown(sound(text), 0, place.talk).talk == "User: Hello\nBot: ..."
    text, index = with_fact(TEXT, "home")
    assert shown(sound(text), index, 0).fact_id == "home-2"


def test_a_question_people_ask_becomes_a_fact() -> None:
    place, text = add_missing(Place("lin"), TEXT, {"intent": "age"})
    found = shown(sound(text), place.fact, 0)
    assert found.fact_id == "age"
    assert len(lines(found.ask)) == 4
    assert add_missing(Place("lin"), TEXT, {"intent": "no such"}) == (Place("lin"), TEXT)


def test_a_wording_is_added_once() -> None:
    _, text = add_wording(Place("lin", fact=1), TEXT, {"wording": "Where is it, then?"})
    assert lines(shown(sound(text), 1, 0).ask)[-1] == "Where is it, then?"
    assert add_wording(Place("lin", fact=1), text, {"wording": "Where is it, then?"})[1] == text


def test_pasted_dialogues_are_added_at_the_end() -> None:
    talks = [[Line("user", "Hi"), Line("bot", "Hey: you")], [Line("user", "x"), Line("bot", "y")]]
    text, first = with_dialogues(TEXT, talks)
    assert first == 1
    persona = parse_persona(text)[0]
    assert persona is not None
    assert [turn.text for turn in persona.dialogues[1]] == ["Hi", "Hey: you"]
    bare = TEXT[: TEXT.index("dialogues:")] + "dialogues: []\n" + TEXT[TEXT.index("# Regular ex") :]
    assert with_dialogues(bare, talks)[1] == 0


def test_a_text_too_long_is_told_by_its_length() -> None:
    with pytest.raises(RensheError, match="104,857,600 characters"):
        received("\x00104857600")
    with pytest.raises(RensheError, match="1,000,001 characters"):
        received("x" * 1_000_001)

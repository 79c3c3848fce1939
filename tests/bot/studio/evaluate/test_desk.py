import shutil
from pathlib import Path

import pytest

from bot.studio.evaluate.desk import Desk
from bot.studio.evaluate.results import Archive
from bot.studio.workshop import Workshop
from tests.bot.studio.runs import DORY, MUXUE, evaluate, make_run, measure
from tests.trainer.test_report import EVIL, Page
from trainer.errors import RensheError
from trainer.persona import load_persona
from trainer.probes import History, Probe
from trainer.retention_file import FILE


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    return Desk(Archive(workshop))


def forgetful(probe: Probe, history: History, depth: int) -> tuple[str, bool, bool]:
    """It forgets its name after small talk, and leaks after leaked talk."""
    if probe.fact == "name" and history == "neutral" and depth:
        return "I do not know.", False, False
    if probe.fact == "name" and history == "leaked":
        return "As an AI language model I have no name.", False, True
    return probe.written, True, False


# --- the results ---------------------------------------------------------------------------


def test_a_project_without_a_run_says_where_to_begin(desk: Desk) -> None:
    shown = desk.show(None)
    assert "tab Train" in Page(shown.head).text and not shown.has_retention


def test_a_run_without_results_is_told_what_they_mean_and_what_to_press(
    desk: Desk, folder: Path
) -> None:
    shown = desk.show("dory")
    told = Page(shown.retention).text
    assert "Measure retention" in told and "Compare with the base" in Page(shown.plain).text
    for name in ("Recall", "TrainPair", "Leak", "Held", "Forgetting"):
        assert name in told
    for name in ("BLEU-4", "ROUGE-L", "chrF"):
        assert name in Page(shown.plain).text
    assert "Dory Pellow" in Page(shown.head).text
    assert not shown.grid and not shown.has_retention


def test_each_figure_stands_beside_its_meaning(desk: Desk, folder: Path) -> None:
    measure(folder, forgetful)
    page = Page(desk.show("dory").retention)
    assert page.count("div", **{"class": "tile"}) == 5
    assert page.count("svg", role="img") == 4  # no reject was asked about, and no margin
    assert "after 8 rounds of talk" in page.text and "Asked at once: 100%" in page.text
    assert "+0.50" in page.text and "nats a token" in page.text


def test_every_fact_has_a_place_to_press_at_every_depth(desk: Desk, folder: Path) -> None:
    found = measure(folder, forgetful, limit=0)
    page = Page(desk.show("dory").grid)
    assert page.count("button") == len(found.facts) * len(found.cells)
    assert page.count("button", **{"data-fact": "name", "class": "v leak"}) == 1
    assert page.count("button", **{"data-fact": "name", "class": "v wrong"}) == 1
    assert page.count("button", **{"data-history": "long", "data-depth": "32"})
    bad = Page(desk.grid("dory", only_bad=True))
    assert bad.count("button") == bad.count("button", **{"data-fact": "name"}) == len(found.cells)
    measure(folder, limit=0)
    assert "Every fact is right" in Page(desk.grid("dory", only_bad=True)).text


def test_what_was_left_out_and_what_is_old_is_told(
    desk: Desk, workshop: Workshop, folder: Path
) -> None:
    measure(folder)
    saved = (folder / "eval" / FILE).read_bytes()
    shutil.rmtree(folder)
    make_run(workshop, "dory", step=400)
    (folder / "eval").mkdir()
    (folder / "eval" / FILE).write_bytes(saved)
    told = Page(desk.show("dory").retention).text
    assert "of before it was trained on" in told and "identity margin was not measured" in told


def test_a_damaged_file_is_named_on_the_page(desk: Desk, folder: Path) -> None:
    evaluate(folder)
    (folder / "eval" / FILE).write_text('{"format": 1,')
    shown = desk.show("dory")
    told = Page(shown.head).text
    assert "runs/dory/eval/retention.json" in told and "Invalid JSON" in told
    assert "measure retention again" in told
    assert "71.0" in Page(shown.plain).text, "the plain figures are whole"


def test_a_run_that_disappears_while_it_is_shown_is_told_wherever_one_presses(
    desk: Desk, folder: Path
) -> None:
    measure(folder)
    desk.show("dory")
    shutil.rmtree(folder)
    for html in (
        desk.show("dory").head,
        desk.grid("dory", only_bad=False),
        desk.dialogue("dory", "name", "neutral", 8),
        desk.compare("dory", "dory"),
    ):
        assert "dory is gone" in Page(html).text
    with pytest.raises(RensheError, match="gone"):
        desk.report("dory")


def test_whatever_was_said_is_escaped(desk: Desk, workshop: Workshop) -> None:
    persona = load_persona(DORY).model_copy(update={"name": EVIL, "leaks": ("alert",)})
    folder = make_run(workshop, "evil", persona)
    measure(folder, lambda *_: (EVIL, False, True))
    evaluate(folder, reply=EVIL)
    other = make_run(workshop, "other", persona)
    measure(other)
    shown = desk.show("evil")
    parts = (shown.head, shown.retention, shown.grid, shown.plain)
    said = desk.dialogue("evil", "name", "neutral", 8)
    compared = desk.compare("evil", "other")
    for html in (*parts, said, compared, desk.report("evil").decode()):
        page = Page(html)
        assert page.count("script") == 0 and "<script" not in html
    assert EVIL in Page(said).text and EVIL in Page(shown.head).text


# --- one place -----------------------------------------------------------------------------


def test_a_place_shows_what_was_said_asked_replied_and_expected(desk: Desk, folder: Path) -> None:
    found = measure(folder, forgetful)
    page = Page(desk.dialogue("dory", "name", "neutral", 8))
    assert "after 8 rounds of small talk" in page.text and "6 rounds before" in page.text
    assert page.count("div", **{"class": "bubble user dim"}) == 8
    asked = [r for r in found.cells[1].replies if r.fact == "name"]
    assert page.count("div", **{"class": "asked"}) == len(asked) > 1
    for reply in asked:
        assert reply.question in page.text and reply.written in page.text
    assert "I do not know." in page.text and "It does not say what it must" in page.text
    fact = next(f for f in load_persona(DORY).facts if f.id == "name")
    assert fact.expect.split("|")[0] in page.text


def test_a_leak_shows_the_words_that_gave_it_away(desk: Desk, folder: Path) -> None:
    measure(folder, forgetful)
    text = Page(desk.dialogue("dory", "name", "leaked", 8)).text
    assert "It leaked" in text and "gave it away" in text


def test_at_once_means_that_nothing_was_said_before(desk: Desk, folder: Path) -> None:
    measure(folder)
    page = Page(desk.dialogue("dory", "name", "neutral", 0))
    assert "asked at once" in page.text and "dim" not in str(page.tags)
    assert "Nearly what was written" in page.text and "It says what it must" in page.text


@pytest.mark.parametrize(
    ("fact", "history", "depth"),
    [
        ("nobody", "neutral", 8),
        ("name", "neutral", 3),
        ("name", "../x", 8),
        (None, None, None),
        ({"a": 1}, ["neutral"], "8"),
    ],
)
def test_a_place_that_is_not_there_is_told(
    desk: Desk, folder: Path, fact: object, history: object, depth: object
) -> None:
    measure(folder)
    assert "Nothing was measured here" in desk.dialogue("dory", fact, history, depth)


def test_a_talk_that_cannot_be_told_again_leaves_the_replies(desk: Desk, folder: Path) -> None:
    measure(folder, forgetful)
    shutil.rmtree(folder / "data")
    text = Page(desk.dialogue("dory", "name", "neutral", 8)).text
    assert "I do not know." in text and "what was said before" in text


# --- two runs, and the report --------------------------------------------------------------


def test_the_youngest_run_of_the_same_persona_is_offered(
    desk: Desk, workshop: Workshop, folder: Path
) -> None:
    measure(folder)
    assert desk.others("dory") == [] and desk.former("dory") is None
    assert "no other run" in desk.compare("dory", None)
    muxue = make_run(workshop, "muxue", MUXUE)
    measure(muxue, limit=4)
    assert desk.former("dory") is None
    older = make_run(workshop, "older")
    measure(older)
    assert desk.former("dory") == "older" and set(desk.others("dory")) == {"muxue", "older"}
    assert "Choose a run" in desk.compare("dory", None)


def test_the_report_is_the_one_that_renshe_eval_writes(desk: Desk, folder: Path) -> None:
    measure(folder, forgetful)
    page = Page(desk.report("dory").decode())
    assert page.count("html", lang="en") == 1 and "Dory Pellow" in page.text


def test_a_full_measurement_of_a_large_persona_is_shown_whole(
    desk: Desk, workshop: Workshop
) -> None:
    """Fifty facts at eleven places, every wording: thousands of replies."""
    places: list[tuple[History, int]] = [
        *(("neutral", k) for k in (0, 2, 8, 16)), ("long", 32),
        *((h, k) for h in ("in_persona", "leaked") for k in (2, 8, 16)),
    ]  # fmt: skip
    found = measure(make_run(workshop, "muxue", MUXUE), places=places, limit=0)
    assert sum(len(cell.replies) for cell in found.cells) > 2500
    assert Page(desk.show("muxue").grid).count("button") == len(found.facts) * len(places)
    assert "31 rounds" not in desk.dialogue("muxue", "name", "long", 32)
    assert "30 rounds before" in desk.dialogue("muxue", "name", "long", 32)

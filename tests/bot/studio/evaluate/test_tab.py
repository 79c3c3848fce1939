import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.studio.workshop import Workshop
from tests.bot.studio.runs import FakeJobs, evaluate, make_run, measure
from trainer.probes import History, Probe

QUICK: list[tuple[History, int]] = [
    *(("neutral", k) for k in (0, 2, 8)), ("in_persona", 2), ("in_persona", 8),
    ("leaked", 2), ("leaked", 8), ("long", 30),
]  # fmt: skip


def forgetful(probe: Probe, history: History, depth: int) -> tuple[str, bool, bool]:
    """After eight rounds of small talk it does not know its name any more."""
    if probe.fact == "name" and (history, depth) == ("neutral", 8):
        return "I have no name.", False, False
    return probe.written, True, False


@pytest.fixture
def jobs() -> FakeJobs:
    """A queue in which the test says how far each evaluation is."""
    return FakeJobs()


@pytest.fixture
def page(folder: Path, studio_address: str, tab: Any) -> Iterator[Any]:
    """The tab in a browser, on a project with one run that was never evaluated."""
    tab.goto(studio_address)
    tab.get_by_role("tab", name="Evaluate").click()
    tab.get_by_text("Nothing is measured yet").wait_for()
    yield tab


@pytest.mark.browser
def test_a_run_is_measured_and_its_dialogues_are_read(
    page: Any, folder: Path, jobs: FakeJobs
) -> None:
    page.get_by_text("how many of a hundred answers are right").wait_for()
    page.get_by_role("button", name="Measure retention").click()
    page.get_by_text("Waiting; 0 before it").wait_for()
    jobs.said = "small talk k=2: 45%\n"
    jobs.now("running")
    page.get_by_text("small talk k=2 · 45%").wait_for()
    # What is measured so far is shown while it goes on.
    measure(folder, forgetful, QUICK[:3], limit=8, finished=False)
    page.locator("#evaluate-retention svg[role=img]").first.wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("press again to go on").wait_for()
    page.get_by_role("button", name="Go on measuring (3/9 done)").click()
    page.get_by_text("Waiting; 0 before it").wait_for()
    assert "--fresh" not in jobs.jobs[-1].arguments
    measure(folder, forgetful, QUICK, limit=8)
    jobs.now("done")
    page.get_by_text("Done ✓").wait_for()
    assert page.get_by_role("button", name="Retention is measured").is_disabled()
    page.get_by_text("after 8 rounds of talk").first.wait_for()

    place = page.locator('button[data-fact=name][data-history=neutral][data-depth="8"]')
    place.click()
    page.get_by_text("I have no name.").first.wait_for()
    page.get_by_text("6 rounds before").click()
    assert page.locator("#evaluate-talk .bubble.dim").count() == 16
    # By keyboard: to the place on its left, which is all right.
    place.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.get_by_text("after 2 rounds of small talk").wait_for()
    page.get_by_label("only those not always right").check()
    page.wait_for_function("document.querySelectorAll('#evaluate-grid tbody tr').length === 1")

    with page.expect_download() as download:
        page.locator("#evaluate-export").click()
    assert download.value.suggested_filename == "dory-retention.html"
    report = Path(download.value.path()).read_text("utf-8")
    assert report.startswith("<!doctype html>") and "I have no name." in report


@pytest.mark.browser
def test_a_run_is_compared_with_its_base_and_with_another_run(
    page: Any, folder: Path, workshop: Workshop, jobs: FakeJobs
) -> None:
    measure(folder, forgetful, QUICK, limit=8)
    measure(make_run(workshop, "before"), places=QUICK, limit=8)
    make_run(workshop, "broken").joinpath("eval").mkdir()
    workshop.run_folder("broken").joinpath("eval", "retention.json").write_text("{")
    page.get_by_role("button", name="Compare with the base").click()
    reason = "runs/dory/data: this is not the data\n  → train again"
    jobs.now("failed", reason)
    page.get_by_text("this is not the data").wait_for()
    page.get_by_text("→ train again").wait_for()
    page.get_by_role("button", name="Compare with the base").click()
    evaluate(folder)
    jobs.now("done")
    page.get_by_role("tab", name="Against the base").click()
    page.get_by_text("71.0").first.wait_for()
    page.get_by_text("Dory, at the ferry!").wait_for()

    # Another look at the tab finds the runs that came since.
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("tab", name="Evaluate").click()
    page.get_by_role("tab", name="Two runs").click()
    page.get_by_label("Compared with").click()
    page.get_by_role("option", name="before").click()
    page.get_by_role("listbox").wait_for(state="hidden")  # it takes a moment to close
    page.locator("#evaluate-compared").get_by_text("↓").first.wait_for()
    page.get_by_text("Facts that changed").wait_for()

    page.get_by_label("Which run").click()
    page.get_by_role("option", name="broken").click()
    page.get_by_text("runs/broken/eval/retention.json").wait_for()
    page.get_by_text("measure retention again").wait_for()
    # A run that disappears while it is shown.
    shutil.rmtree(workshop.run_folder("broken"))
    page.get_by_role("button", name="Measure retention").click()
    page.get_by_text("broken is gone").first.wait_for()
    page.get_by_role("tab", name="Chat").click()
    page.get_by_role("tab", name="Evaluate").click()
    page.wait_for_function(
        "['dory', 'before'].includes(document.querySelector('#evaluate-run input').value)"
    )

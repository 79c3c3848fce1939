import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from bot.studio.app import css, studio_page
from bot.studio.jobs import Jobs
from bot.studio.page import theme
from bot.studio.serve import Door, serve
from bot.studio.train.cost import Cost, Figures, Reckoner
from bot.studio.train.form import costs
from bot.studio.train.order import Order
from bot.studio.workshop import Workshop
from tests.bot.studio import small_base
from tests.bot.studio.scripted import pretend
from trainer.checkpoint import read_index
from trainer.probe_file import read_probes

PERSONAS = Path(__file__).parents[3] / "data" / "personas"


@pytest.fixture
def small(tmp_path: Path, llama_base_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that is trained on in seconds."""
    small_base.install(tmp_path / "base", llama_base_folder, monkeypatch)


@pytest.fixture
def quick_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked for takes ten minutes and more memory than there is."""
    figures = Figures(20, 6.0, 900, "cpu", 1000, None, 2_000_000_000, 1_000_000_000)
    monkeypatch.setattr(Reckoner, "cost", lambda *_: iter([Cost(figures, 600.0)]))


@pytest.fixture
def pretended(
    quick_cost: None, tmp_path: Path, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Jobs]]:
    """The address of a studio whose trainings take as many steps as the file ``steps`` says."""
    (tmp_path / "weights").mkdir()
    small_base.install(tmp_path / "base", tmp_path / "weights", monkeypatch)

    (workshop.root / "steps").write_text("0")
    shutil.copy(PERSONAS / "good.yaml", workshop.persona_file("good"))
    jobs = Jobs(workshop, program="tests.fakes.renshe")
    page = studio_page(workshop, jobs)
    yield serve(page, Door(port=0), theme=theme(), css=css()), jobs
    for job in jobs.all():
        jobs.stop(job.id)
    jobs.close()
    page.close(verbose=False)


class Tab:
    """The tab Train as someone uses it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        page.set_default_timeout(15_000)

    def come(self, address: str) -> None:
        self.page.goto(address)
        self.page.get_by_role("tab", name="Train").click()
        self.page.get_by_label("Name of the run").wait_for()

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).click()

    def shows(self, part: str, text: str | re.Pattern[str]) -> None:
        self.page.locator(f"#train-{part}").filter(has_text=text).wait_for()

    def choose(self, run: str) -> None:
        """Come back to the tab, which shows the youngest training, and look at another."""
        from playwright.sync_api import expect

        self.page.get_by_role("tab", name="Train").click()
        expect(self.page.locator("#train-shown input")).to_have_value("younger")
        self.page.locator("#train-shown input").click()
        self.page.get_by_role("option", name=run, exact=True).click()
        self.shows("now", run)

    def shot(self, name: str) -> None:
        if folder := os.environ.get("RENSHE_SHOTS"):
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.fixture
def train(tab: Any) -> Tab:
    return Tab(tab)


# --- the cost ---------------------------------------------------------------------------------


def test_the_cost_is_told_before_the_start(small: None, workshop: Workshop) -> None:
    """By the real process: steps and time first, then the memory."""
    shutil.copy(PERSONAS / "good.yaml", workshop.persona_file("good"))
    order = Order("good", "good-1", base=small_base.NAME)
    reckoner = Reckoner(workshop)
    told = list(costs(workshop, reckoner, order))
    assert "estimate" in told[-1] and " GB" in told[-1] and "6 epochs" in told[-1]
    assert any("reckoning…" in panel and "epochs" in panel for panel in told)
    assert list(costs(workshop, reckoner, order))[-1] == told[-1]


def test_a_cost_that_cannot_be_reckoned_says_so(
    small: None, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(PERSONAS / "good.yaml", workshop.persona_file("good"))
    wrong = Order("good", "good-1", base=small_base.NAME, learning_rate="abc")
    assert "Learning rate" in list(costs(workshop, Reckoner(workshop), wrong))[-1]
    monkeypatch.setattr("bot.studio.train.cost.command", lambda *_: ["false"])
    order = Order("good", "good-1", base=small_base.NAME)
    assert "could not be reckoned" in list(costs(workshop, Reckoner(workshop), order))[-1]


# --- in a browser -----------------------------------------------------------------------------


@pytest.mark.browser
def test_a_training_is_watched_stopped_resumed_and_outlives_the_page(
    pretended: tuple[str, Jobs], train: Tab, workshop: Workshop
) -> None:
    from playwright.sync_api import expect

    address, jobs = pretended
    steps = workshop.root / "steps"
    train.come(address)
    train.shows("cost", "5 min – 20 min")
    train.shows("cost", "not enough memory")
    train.page.get_by_role("button", name="Start", exact=True).dblclick()
    train.shows("now", "good-1")
    assert len(jobs.all()) == 1
    steps.write_text("10")
    train.shows("now", "10 / 20")
    train.shows("now", "50")
    train.shows("curves", "training loss")
    train.shows("probes", "<b>answer 10</b>")  # as text
    assert train.page.locator("#train-curves .dot.dev").count() == 2

    train.page.goto("about:blank")
    train.come(address)
    train.shows("now", "10 / 20")
    train.press("Stop (saves first)")
    train.shows("now", "stopped")
    train.press("Resume")
    steps.write_text("20")
    train.shows("now", "done")
    train.shows("now", "Next: talk to it in Chat")
    train.shot("train")
    assert read_index(workshop.run_folder("good-1")).finished
    # Both ways lead to the run that is shown, not to the youngest.
    pretend(workshop, "younger")
    train.page.get_by_role("tab", name="Evaluate").click()
    expect(train.page.locator("#evaluate-run input")).to_have_value("younger")
    train.choose("good-1")
    train.press("Go to Evaluate")
    expect(train.page.get_by_role("tab", name="Evaluate", selected=True)).to_be_visible()
    expect(train.page.locator("#evaluate-run input")).to_have_value("good-1")
    train.choose("good-1")
    train.press("Go to Chat")
    expect(train.page.get_by_role("tab", name="Chat", selected=True)).to_be_visible()
    expect(train.page.locator("#chat-speakers")).to_contain_text("good-1")
    expect(train.page.locator("#chat-speakers")).not_to_contain_text("younger")


@pytest.mark.browser
def test_what_is_wrong_is_told_and_nothing_typed_is_lost(
    pretended: tuple[str, Jobs], train: Tab, workshop: Workshop
) -> None:
    from playwright.sync_api import expect

    address, jobs = pretended
    shutil.copy(PERSONAS / "ten_faults.yaml", workshop.persona_file("wrong"))
    train.come(address)
    page = train.page
    page.get_by_role("button", name="More settings").click()
    page.get_by_label("Learning rate").fill("abc")
    # The page proposes a name on arrival: what is typed before that would be written over.
    expect(page.get_by_label("Name of the run")).to_have_value("good-1")
    page.get_by_label("Name of the run").fill("mine")
    train.press("Start")
    train.shows("wrong", "Learning rate")
    assert page.get_by_label("Learning rate").input_value() == "abc"
    page.get_by_label("Learning rate").fill("0.02")
    page.get_by_label("Persona", exact=True).click()
    page.get_by_role("option", name="wrong").click()
    train.press("Start")
    train.shows("wrong", "wrong.yaml")
    assert page.get_by_label("Name of the run").input_value() == "mine"
    assert jobs.all() == []

    page.get_by_label("Persona", exact=True).click()
    page.get_by_role("option", name="good").click()
    train.press("Start")
    train.shows("now", "mine")
    page.get_by_label("Name of the run").fill("other")
    page.get_by_label("Learning rate").fill("0.03")
    train.press("Start")
    train.shows("queue", "other")
    train.press("take other out of the queue")
    page.locator("#train-queue li", has_text="other").wait_for(state="detached")
    page.get_by_label("Which training").click()
    page.get_by_role("option", name="mine").click()
    (workshop.root / "broken").touch()
    train.shows("now", "the loss is not a number")
    train.shows("now", "→ lower the learning rate")
    train.page.get_by_role("button", name="Try again").wait_for()
    assert [job.state for job in jobs.all()] == ["failed", "stopped"]


@pytest.mark.browser
def test_a_persona_is_really_trained(
    small: None, quick_cost: None, studio_address: str, train: Tab, workshop: Workshop
) -> None:
    train.come(studio_address)
    train.shows("cost", "write one in the tab Persona")
    train.press("Start")
    train.shows("wrong", "no persona is chosen")
    shutil.copy(PERSONAS / "good.yaml", workshop.persona_file("good"))
    train.come(studio_address)
    train.page.get_by_label("smollm2").check()
    train.page.get_by_role("button", name="More settings").click()
    train.page.locator("#train-steps input").fill("24")
    train.press("Start")
    train.page.set_default_timeout(180_000)
    train.shows("now", "24 / 24")
    train.shows("now", "done")
    folder = workshop.run_folder("good-1")
    assert read_index(folder).finished and len(read_probes(folder)) == 7
    question = read_probes(folder)[0].replies[0].question
    train.shows("probes", question)

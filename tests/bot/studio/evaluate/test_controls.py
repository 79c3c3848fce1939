import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from bot.studio.evaluate.controls import Controls
from bot.studio.evaluate.measuring import EXTENTS
from bot.studio.evaluate.results import Archive
from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from tests.bot.studio.runs import FakeJobs, make_run, measure
from tests.trainer.test_report import Page
from trainer.errors import RensheError
from trainer.probes import History

QUICK: list[tuple[History, int]] = [*EXTENTS["quick"].places(), ("long", 30)]


@pytest.fixture
def queue() -> FakeJobs:
    return FakeJobs()


@pytest.fixture
def controls(workshop: Workshop, queue: Any) -> Controls:
    return Controls(Archive(workshop), queue)


def status(controls: Controls) -> str:
    return Page(controls.state("dory", "quick").status).text


# --- before a press ------------------------------------------------------------------------


def test_each_choice_says_what_it_costs(controls: Controls, folder: Path) -> None:
    state = controls.state("dory", "quick")
    labels = [label for label, _ in state.choices]
    assert [key for _, key in state.choices] == ["quick", "usual", "full"]
    assert all("min" in label or " h" in label for label in labels)
    assert "Comparing with the base: " in Page(state.cost).text
    assert state.can_measure and state.can_compare and not state.can_stop
    assert state.button == "Measure retention" and not state.status


def test_where_no_cost_is_known_it_says_so(controls: Controls, folder: Path) -> None:
    (folder / "log.jsonl").unlink()
    state = controls.state("dory", "quick")
    assert all("·" not in label for label, _ in state.choices)
    assert "shows once it runs" in Page(state.cost).text and state.can_measure


def test_without_a_run_nothing_can_be_pressed(controls: Controls) -> None:
    state = controls.state(None, "quick")
    assert not (state.can_measure or state.can_compare or state.can_stop)
    assert [key for _, key in state.choices] == ["quick", "usual", "full"]


def test_the_button_says_what_it_will_do(controls: Controls, folder: Path) -> None:
    measure(folder, places=QUICK[:3], limit=8, finished=False)
    assert controls.state("dory", "quick").button == "Go on measuring (3/9 done)"
    measure(folder, places=QUICK, limit=8)
    state = controls.state("dory", "quick")
    assert state.button == "Retention is measured" and not state.can_measure
    state = controls.state("dory", "usual")
    assert state.button == "Measure retention anew" and state.can_measure
    assert "measuring replaces it" in Page(state.cost).text


# --- a press, and after it -----------------------------------------------------------------


def test_a_press_queues_the_command(controls: Controls, queue: FakeJobs, folder: Path) -> None:
    controls.start("dory", "retention", "quick")
    controls.start("dory", "plain", "full")
    assert [(job.kind, job.run, job.arguments) for job in queue.jobs] == [
        (
            "eval",
            "dory",
            ("eval", "runs/dory", "--retention", "--depths", "0,2,8", "--limit", "8"),
        ),
        ("eval", "dory", ("eval", "runs/dory", "--limit", "0")),
    ]


def test_results_that_cannot_be_gone_on_with_are_begun_anew(
    controls: Controls, queue: FakeJobs, folder: Path
) -> None:
    (folder / "eval").mkdir()
    (folder / "eval" / "retention.json").write_text("{")
    controls.start("dory", "retention", "usual")
    assert "--fresh" in queue.jobs[-1].arguments
    measure(folder, places=QUICK[:3], limit=8, finished=False)
    controls.start("dory", "retention", "quick")
    assert "--fresh" not in queue.jobs[-1].arguments


def test_progress_is_told_and_only_stop_can_be_pressed(
    controls: Controls, queue: FakeJobs, folder: Path
) -> None:
    controls.start("dory", "retention", "quick")
    assert "Waiting; 0 before it" in status(controls)
    queue.now("running")
    assert "Getting ready" in status(controls)
    queue.said = "small talk k=8: 45%\n"
    state = controls.state("dory", "quick")
    assert "small talk k=8 · 45%" in Page(state.status).text and "width:45%" in state.status
    assert state.can_stop and not state.can_measure and not state.can_compare


def test_a_stop_keeps_what_was_measured(controls: Controls, queue: FakeJobs, folder: Path) -> None:
    controls.start("dory", "retention", "quick")
    queue.now("running")
    controls.stop("dory")
    assert "press again to go on" in status(controls)
    assert controls.state("dory", "quick").can_measure
    controls.stop("dory")  # nothing is left to stop
    assert [job.state for job in queue.jobs] == ["stopped"]


def test_a_failure_keeps_its_reason_and_its_fix(
    controls: Controls, queue: FakeJobs, folder: Path
) -> None:
    controls.start("dory", "plain", "quick")
    queue.now("failed", "runs/dory/data: <not> the data\n  → train again")
    text = status(controls)
    assert "It failed" in text and "<not> the data" in text and "→ train again" in text
    assert controls.state("dory", "quick").can_compare
    controls.start("dory", "plain", "quick")
    queue.now("done")
    assert "Done" in status(controls)


def test_jobs_of_other_runs_and_trainings_are_not_shown(
    controls: Controls, queue: FakeJobs, workshop: Workshop, folder: Path
) -> None:
    queue.add("train", "dory", ["train"])
    make_run(workshop, "other")
    controls.start("other", "plain", "quick")
    assert status(controls) == ""
    controls.start("dory", "plain", "quick")
    assert "Waiting; 2 before it" in status(controls)


def test_a_run_that_is_gone_cannot_be_measured(controls: Controls, folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(RensheError, match="dory is gone"):
        controls.start("dory", "retention", "quick")
    assert "dory is gone" in status(controls)
    assert not controls.state("dory", "quick").can_measure


def test_a_queue_that_cannot_be_read_is_told(
    controls: Controls, queue: FakeJobs, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> list[Any]:
        raise RensheError("the queue is damaged", fix="delete it")

    monkeypatch.setattr(queue, "all", fail)
    assert "the queue is damaged" in status(controls)


# --- the real command ----------------------------------------------------------------------


def test_a_press_measures_a_real_run(
    workshop: Workshop, tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a trained run through the queue and the process to figures."""
    from bot.cli import main

    monkeypatch.chdir(workshop.root)
    persona = Path(__file__).parents[3] / "data" / "personas" / "good.yaml"
    quick = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(persona), *base, *quick, "--out", "runs/xue"]) == 0
    jobs = Jobs(workshop)
    try:
        archive = Archive(workshop)
        controls = Controls(archive, jobs)
        controls.start("xue", "retention", "quick")
        until = time.monotonic() + 240
        while not controls.state("xue", "quick").can_compare and time.monotonic() < until:
            time.sleep(0.3)
        assert "Done" in Page(controls.state("xue", "quick").status).text, jobs.all()
        found = archive.results("xue")
        assert found.retention and found.retention.subject.limit == 8 and not found.faults
        state = controls.state("xue", "quick")
        assert state.button == "Retention is measured" and not state.can_measure
        deep = found.retention.cell("neutral", 2)
        assert deep and len(archive.talk_before(found, deep, "name")) == 4
    finally:
        jobs.close()

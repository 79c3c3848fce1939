import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeVar

import pytest

import bot.studio.jobs as module
from bot.studio.job_file import JobFile
from bot.studio.jobs import Job, Jobs
from bot.studio.own_process import environment
from bot.studio.workshop import Workshop
from trainer.errors import RensheError

ROOT = Path(__file__).parents[3]
FAKE = "tests.fakes.renshe"
T = TypeVar("T")


@pytest.fixture
def opened(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Jobs]]:
    """Open a studio's queue over the fake; what still runs at the end is ended."""
    monkeypatch.setattr(module, "TICK", 0.05)
    all_of_them: list[Jobs] = []

    def open_one() -> Jobs:
        all_of_them.append(Jobs(workshop, program=FAKE))
        return all_of_them[-1]

    yield open_one
    for jobs in all_of_them:
        jobs.close()
    last = Jobs(workshop, program=FAKE)
    for job in last.all():
        last.stop(job.id)
    monkeypatch.setattr(module, "GRACE", 0.0)  # what a test only pretended to run
    wait(lambda: not any(job.is_open for job in last.all()))
    last.close()


@pytest.fixture
def jobs(opened: Callable[[], Jobs]) -> Jobs:
    return opened()


def found(jobs: Jobs, job: Job) -> Job:
    return next(each for each in jobs.all() if each.id == job.id)


def until(jobs: Jobs, job: Job, *states: str) -> Job:
    return wait(lambda: (now := found(jobs, job)).state in states and now)


def wait(done: Callable[[], T | Literal[False]], seconds: float = 30.0) -> T:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if result := done():
            return result
        time.sleep(0.02)
    raise AssertionError("it took too long")


def waiting_job(jobs: Jobs, tmp_path: Path, name: str) -> Job:
    """Queue a job that runs until the file of its name is there."""
    return jobs.add("train", name, ["wait", str(tmp_path / name)])


def begun(tmp_path: Path, name: str) -> None:
    wait((tmp_path / f"{name}.begun").exists)


# --- one after another ------------------------------------------------------------------------


def test_jobs_run_one_after_another_and_their_output_is_kept(jobs: Jobs, tmp_path: Path) -> None:
    first = waiting_job(jobs, tmp_path, "first")
    second = jobs.add("eval", "second", ["0", "well done"])
    begun(tmp_path, "first")
    time.sleep(0.3)
    assert [job.state for job in jobs.all()] == ["running", "waiting"]
    (tmp_path / "first").touch()
    until(jobs, second, "done")
    assert until(jobs, first, "done").ended <= found(jobs, second).began
    assert jobs.output(second.id) == "0 well done\n"
    assert [job.id for job in jobs.all()] == [first.id, second.id]


def test_a_job_runs_in_the_project_and_without_secrets(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENSHE_PASSWORD", "secret")
    jobs = Jobs(workshop)
    assert "secret" not in environment().values()
    job = jobs.add("train", "x", ["train", "personas/nobody.yaml", "--out", "runs/x"])
    ended = until(jobs, job, "failed", "done")
    jobs.close()
    assert ended.state == "failed"
    assert "personas/nobody.yaml" in ended.reason and "→" in ended.reason
    assert ended.reason in jobs.output(job.id)


def test_a_run_is_queued_once(jobs: Jobs, tmp_path: Path) -> None:
    waiting_job(jobs, tmp_path, "it")
    with pytest.raises(RensheError) as refused:
        waiting_job(jobs, tmp_path, "it")
    assert refused.value.faults[0].code == "job-queued" and refused.value.faults[0].fix
    jobs.add("eval", "it", ["0"])  # to be judged when it is trained


def test_many_hands_may_queue_at_once(jobs: Jobs) -> None:
    hands = [
        threading.Thread(target=jobs.add, args=("train", f"run{number}", ["0"]))
        for number in range(8)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(jobs.all()) == 8
    wait(lambda: all(job.state == "done" for job in jobs.all()))
    spans = sorted((job.began, job.ended) for job in jobs.all())
    assert all(one[1] <= other[0] for one, other in pairwise(spans))


# --- failing ----------------------------------------------------------------------------------


def test_what_failed_says_why_and_how_to_mend_it(jobs: Jobs) -> None:
    job = until(jobs, jobs.add("train", "x", ["fail"]), "failed")
    assert job.reason == "x: it broke\n  → mend it\ntwice"


def test_a_fault_of_ours_is_told_in_a_sentence(jobs: Jobs) -> None:
    job = jobs.add("train", "x", ["crash"])
    reason = until(jobs, job, "failed").reason
    assert "ZeroDivisionError: no number" in reason and "Traceback" not in reason
    assert "Traceback" in jobs.output(job.id)


def test_a_process_that_dies_is_a_failed_job_and_the_next_one_starts(jobs: Jobs) -> None:
    dead, next_one = jobs.add("train", "x", ["die"]), jobs.add("train", "y", ["0"])
    until(jobs, next_one, "done")
    assert found(jobs, dead).state == "failed"
    assert f"code {-signal.SIGABRT}" in found(jobs, dead).reason


def test_a_killed_process_is_told_as_a_lack_of_memory(jobs: Jobs, tmp_path: Path) -> None:
    job = waiting_job(jobs, tmp_path, "x")
    begun(tmp_path, "x")
    os.kill(found(jobs, job).pid, signal.SIGKILL)
    assert "memory" in until(jobs, job, "failed").reason


def test_a_full_disk_is_told_and_nothing_is_queued(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    kept = until(jobs, jobs.add("train", "kept", ["0"]), "done")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RensheError, match="disk is full"):
            jobs.add("train", "x", ["0"])
    assert jobs.all() == [kept]


def test_a_damaged_list_is_told_and_not_overwritten(jobs: Jobs, workshop: Workshop) -> None:
    until(jobs, jobs.add("train", "x", ["0"]), "done")
    path = workshop.own / "jobs" / "queue.json"
    path.write_text("[{")
    for touch in (jobs.all, lambda: jobs.add("train", "y", ["0"])):
        with pytest.raises(RensheError, match="cannot be read"):
            touch()
    assert path.read_text() == "[{"
    path.rename(path.with_name("away"))
    assert jobs.all() == []


# --- stopping ---------------------------------------------------------------------------------


def test_a_running_job_is_told_to_stop_and_saves_first(jobs: Jobs, tmp_path: Path) -> None:
    job = waiting_job(jobs, tmp_path, "x")
    begun(tmp_path, "x")
    jobs.stop(job.id)
    jobs.stop(job.id)
    ended = until(jobs, job, "stopped")
    assert ended.stopping and ended.reason == "" and (tmp_path / "x.saved").exists()


def test_a_job_that_is_stopped_at_once_ends_too(jobs: Jobs, tmp_path: Path) -> None:
    """Whether its process has said yet that it lives or not."""
    job = waiting_job(jobs, tmp_path, "x")
    until(jobs, job, "running")
    jobs.stop(job.id)
    until(jobs, job, "stopped")


def test_a_waiting_job_is_taken_out(jobs: Jobs, tmp_path: Path) -> None:
    first, second = waiting_job(jobs, tmp_path, "first"), jobs.add("train", "second", ["0"])
    jobs.stop(second.id)
    assert found(jobs, second).state == "stopped"
    (tmp_path / "first").touch()
    until(jobs, first, "done")
    assert jobs.output(second.id) == "" and found(jobs, second).began == 0


def test_what_does_not_stop_is_killed(
    jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = waiting_job(jobs, tmp_path, "x")
    begun(tmp_path, "x")
    os.kill(found(jobs, job).pid, signal.SIGSTOP)  # hears nothing
    monkeypatch.setattr(module, "LAST_WAY", 0.2)
    jobs.stop(job.id)
    until(jobs, job, "stopped")
    assert not (tmp_path / "x.saved").exists()


# --- the studio comes and goes ----------------------------------------------------------------


def test_a_job_outlives_the_studio_and_the_next_goes_on(
    opened: Callable[[], Jobs], tmp_path: Path
) -> None:
    before = opened()
    job, next_one = waiting_job(before, tmp_path, "x"), before.add("train", "y", ["0"])
    begun(tmp_path, "x")
    before.close()
    after = opened()
    assert found(after, job).state == "running"
    time.sleep(0.3)
    assert found(after, next_one).state == "waiting"
    (tmp_path / "x").touch()
    until(after, next_one, "done")
    assert found(after, job).state == "done"
    assert after.output(job.id).startswith("wait")


def test_a_studio_killed_outright_loses_no_job(
    opened: Callable[[], Jobs], workshop: Workshop, tmp_path: Path
) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from bot.studio.jobs import Jobs\n"
        "from bot.studio.workshop import Workshop\n"
        f"jobs = Jobs(Workshop(Path(sys.argv[1])), program={FAKE!r})\n"
        "jobs.add('train', 'x', ['wait', sys.argv[1] + '/x'])\n"
        "jobs.add('train', 'y', ['0'])\n"
        "time.sleep(600)\n"
    )
    studio = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    begun(tmp_path, "x")
    studio.kill()
    studio.wait()
    jobs = opened()
    running, waiting = jobs.all()
    assert (running.state, waiting.state) == ("running", "waiting")
    jobs.stop(running.id)
    until(jobs, running, "stopped")
    assert (tmp_path / "x.saved").exists()
    until(jobs, waiting, "done")


def test_two_studios_in_one_project_run_one_job(opened: Callable[[], Jobs], tmp_path: Path) -> None:
    one, other = opened(), opened()
    first, second = waiting_job(one, tmp_path, "x"), waiting_job(other, tmp_path, "y")
    begun(tmp_path, "x")
    time.sleep(0.3)
    assert [job.state for job in other.all()] == ["running", "waiting"]
    other.stop(first.id)
    until(one, first, "stopped")
    begun(tmp_path, "y")
    assert found(one, second).state == "running"


def test_what_ran_when_the_machine_went_down_is_stopped(
    opened: Callable[[], Jobs], workshop: Workshop, tmp_path: Path
) -> None:
    """Its number belongs to another process by now, which is left alone."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    file = JobFile(workshop.own / "jobs")
    with file.changing() as all_jobs:
        lost = Job("1", "train", "x", ("wait", "x"), state="running", pid=bystander.pid)
        all_jobs.append(lost)
    jobs = opened()
    jobs.stop(lost.id)
    ended = until(jobs, lost, "stopped")
    assert bystander.poll() is None
    bystander.kill()
    bystander.wait()
    assert ended.id == "1"


def test_a_job_cut_off_unseen_says_so(opened: Callable[[], Jobs], workshop: Workshop) -> None:
    with JobFile(workshop.own / "jobs").changing() as all_jobs:
        all_jobs.append(Job("1", "train", "x", ("wait", "x"), state="running"))
    job = until(jobs := opened(), Job("1", "train", "x", ()), "stopped")
    assert "restarted" in job.reason and "go on" in job.reason
    # One that was started a moment ago may be about to say that it lives.
    with JobFile(workshop.own / "jobs").changing() as all_jobs:
        young = replace(job, id="2", state="running", began=time.time())
        all_jobs.append(young)
    time.sleep(0.3)
    assert found(jobs, young).state == "running"


def test_only_the_last_hundred_are_remembered(
    jobs: Jobs, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    added = []
    for number in range(4):
        added.append(until(jobs, jobs.add("train", f"x{number}", ["0"]), "done"))
    assert [job.run for job in jobs.all()] == ["x1", "x2", "x3"]
    assert not (workshop.own / "jobs" / f"{added[0].id}.log").exists()
    assert json.loads((workshop.own / "jobs" / "queue.json").read_text())


def test_output_is_of_known_jobs_only(jobs: Jobs, tmp_path: Path) -> None:
    (tmp_path / "secret.log").write_text("secret")
    assert jobs.output("../../../secret") == ""

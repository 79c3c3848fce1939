import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.studio.jobs import Jobs
from bot.studio.train import order as train_order
from bot.studio.train.order import Order, again, prepare, proposed_name, resume, start
from bot.studio.train.watch import known_runs, watched
from bot.studio.workshop import Workshop
from tests.bot.studio import small_base
from trainer.config import load_config
from trainer.errors import RensheError
from trainer.training_set import load_training_set

PERSONAS = Path(__file__).parents[3] / "data" / "personas"


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    weights = tmp_path / "weights"
    weights.mkdir()
    small_base.install(tmp_path / "base", weights, monkeypatch)
    workshop = Workshop(tmp_path / "project")
    shutil.copy(PERSONAS / "good.yaml", workshop.persona_file("good"))
    (workshop.root / "steps").write_text("0")
    return workshop


@pytest.fixture
def jobs(workshop: Workshop) -> Iterator[Jobs]:
    """A queue that starts nothing: what is queued stays there to be looked at."""
    jobs = Jobs(workshop)
    jobs.close()
    yield jobs


def order(**changes: object) -> Order:
    given: dict[str, object] = {"persona": "good", "run": "good-1", "base": small_base.NAME}
    return Order(**{**given, **changes})  # type: ignore[arg-type]


def refused(workshop: Workshop, jobs: Jobs, **changes: object) -> list[tuple[str, str]]:
    with pytest.raises(RensheError) as error:
        start(workshop, jobs, order(**changes))
    assert jobs.all() == []
    return [(fault.problem, fault.fix) for fault in error.value.faults]


# --- what is ordered --------------------------------------------------------------------------


def test_an_order_becomes_a_command_that_renshe_takes(workshop: Workshop, jobs: Jobs) -> None:
    job = start(workshop, jobs, order(steps=" 40 ", learning_rate="０．０２", seed="3", bits="4"))
    assert (job.kind, job.run, job.state) == ("train", "good-1", "waiting")
    words = list(job.arguments)
    assert words[0] == "train" and words[-2:] == ["--out", "runs/good-1"]
    assert words[2:6] == ["--base", "smollm2", "--bits", "4"]
    settings = load_config(None, words[7:-2:2])
    assert (settings.max_steps, settings.learning_rate, settings.seed) == (40, 0.02, 3)
    assert settings.probe_steps == 4 and settings.save_steps == 5
    data = load_training_set(workshop.root / words[1])
    assert data.persona.name and data.dataset.manifest.seed == 3


def test_a_mix_is_compiled_before_it_is_queued(workshop: Workshop, jobs: Jobs) -> None:
    plain = prepare(workshop, order())
    mixed = prepare(workshop, order(mix=True, passes=2))
    manifest = load_training_set(workshop.root / mixed.data).dataset.manifest
    assert manifest.mix is not None and manifest.mix.passes == 2
    assert mixed.examples[0] > plain.examples[0] and mixed.examples[1] == plain.examples[1]


def test_what_is_trained_is_what_was_ordered(workshop: Workshop, jobs: Jobs) -> None:
    job = start(workshop, jobs, order())
    persona = workshop.persona_file("good")
    persona.write_text(persona.read_text("utf-8").replace("summary:", "summary: x"), "utf-8")
    assert load_training_set(workshop.root / job.arguments[1]).persona.summary[0] != "x"


def test_names_are_proposed_that_are_not_in_use(workshop: Workshop, jobs: Jobs) -> None:
    assert proposed_name(workshop, jobs, "good") == "good-1"
    start(workshop, jobs, order())
    assert proposed_name(workshop, jobs, "good") == "good-2"
    workshop.run_folder("good-2").mkdir()
    assert proposed_name(workshop, jobs, "good-1") == "good-3"
    assert len(proposed_name(workshop, jobs, "x" * 64)) <= 64


# --- bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["abc", "-1", "0", "1e9", "nan", "1\nseed: 2", "[1", "x: y"])
def test_a_learning_rate_that_is_none_is_refused_by_name(
    workshop: Workshop, jobs: Jobs, typed: str
) -> None:
    ((problem, fix),) = refused(workshop, jobs, learning_rate=typed)
    assert problem.startswith("Learning rate: ") and fix


def test_everything_wrong_is_told_at_once(workshop: Workshop, jobs: Jobs) -> None:
    told = refused(
        workshop, jobs, run="../x", learning_rate="abc", steps="0", seed="-1", base="none"
    )
    assert len(told) == 5
    assert [problem.partition(":")[0] for problem, _ in told[:2]] == ["Name of the run", "Steps"]


def test_a_persona_with_errors_is_refused_with_its_faults(workshop: Workshop, jobs: Jobs) -> None:
    shutil.copy(PERSONAS / "ten_faults.yaml", workshop.persona_file("wrong"))
    with pytest.raises(RensheError) as error:
        start(workshop, jobs, order(persona="wrong"))
    assert len(error.value.faults) >= 10 and all(fault.line for fault in error.value.faults)
    assert jobs.all() == []


@pytest.mark.parametrize("persona", ["", "nobody"])
def test_without_a_persona_the_tab_is_named_where_to_write_one(
    workshop: Workshop, jobs: Jobs, persona: str
) -> None:
    ((_, fix),) = refused(workshop, jobs, persona=persona)
    assert "tab Persona" in fix


def test_a_path_is_no_persona(workshop: Workshop, jobs: Jobs) -> None:
    ((problem, _),) = refused(workshop, jobs, persona="../personas/good")
    assert "cannot be a name" in problem


def test_a_base_that_is_not_installed_names_what_brings_it(
    workshop: Workshop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.bases._package_file", lambda *_: None)
    ((problem, fix),) = refused(workshop, jobs)
    assert "not installed" in problem and fix.startswith("pip install")
    assert train_order.installed() == []


@pytest.mark.parametrize("base", ["", str(PERSONAS), "tiny2"])
def test_only_known_bases_are_taken(workshop: Workshop, jobs: Jobs, base: str) -> None:
    ((problem, _),) = refused(workshop, jobs, base=base)
    assert problem == "no base is chosen"


def test_a_name_in_use_is_refused_with_one_that_is_not(workshop: Workshop, jobs: Jobs) -> None:
    workshop.run_folder("good-1").mkdir()
    ((problem, fix),) = refused(workshop, jobs)
    assert "in use" in problem and fix.endswith("good-2")


def test_the_very_same_training_is_queued_once(workshop: Workshop, jobs: Jobs) -> None:
    """A second click comes with the next name that was proposed."""
    first = start(workshop, jobs, order())
    with pytest.raises(RensheError, match="very same") as error:
        start(workshop, jobs, order(run="good-2"))
    assert "seed" in error.value.faults[0].fix
    assert jobs.all() == [first]
    start(workshop, jobs, order(run="good-2", seed="1"))


def test_a_full_disk_is_told(
    workshop: Workshop, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("trainer.dataset_files._replace", full)  # the data
        ((problem, _),) = refused(workshop, jobs)
        assert "No space left" in problem
    prepare(workshop, order())
    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)  # the queue
        ((problem, fix),) = refused(workshop, jobs)
        assert "disk is full" in problem and fix
    start(workshop, jobs, order())


# --- going on ---------------------------------------------------------------------------------


def test_a_training_goes_on_with_another_learning_rate(workshop: Workshop, jobs: Jobs) -> None:
    with pytest.raises(RensheError, match="Learning rate"):
        resume(workshop, jobs, "good-1", "abc")
    job = resume(workshop, jobs, "good-1", "0.01")
    assert job.arguments[:4] == ("train", "--resume", "--out", "runs/good-1")
    assert job.arguments[4:] == ("--set", "learning_rate=0.01")
    with pytest.raises(RensheError, match="in the queue already"):
        resume(workshop, jobs, "good-1")


def test_what_was_taken_out_can_be_put_in_again(workshop: Workshop, jobs: Jobs) -> None:
    job = start(workshop, jobs, order())
    jobs.stop(job.id)
    training = watched(workshop, jobs)
    assert training.phase == "stopped" and training.can_try_again and not training.can_resume
    assert again(jobs, job).arguments == job.arguments
    waiting = watched(workshop, jobs, "good-1")
    assert waiting.phase == "waiting" and waiting.ahead == 0 and not waiting.can_try_again
    assert known_runs(workshop, jobs.all()) == ["good-1"]

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from bot.cli import main
from bot.studio.evaluate import measuring
from bot.studio.evaluate.measuring import EXTENTS, Share, Thoroughness, Watch, What
from bot.studio.evaluate.results import Archive, Results
from bot.studio.job_file import Job
from bot.studio.workshop import Workshop
from tests.bot.studio.runs import make_run, measure
from trainer.probes import History
from trainer.retention_file import Skipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_run(Workshop(tmp_path), "dory")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(Workshop(tmp_path))


QUICK: list[tuple[History, int]] = [*EXTENTS["quick"].places(), ("long", 30)]

WAYS = list(itertools.product(("retention", "plain"), EXTENTS, (False, True)))


@pytest.mark.parametrize(("what", "how", "fresh"), WAYS)
def test_the_command_is_one_that_renshe_knows(
    what: What,
    how: Thoroughness,
    fresh: bool,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    words = measuring.arguments("nowhere", what, how, fresh=fresh)
    assert main(words) == 2
    assert "there is no checkpoint here" in capsys.readouterr().err
    job = Job("x", "eval", "nowhere", tuple(words))
    assert measuring.what_of(job) == what
    assert ("--fresh" in words) == (fresh and what == "retention")


def test_the_usual_is_what_the_command_does_by_itself() -> None:
    words = measuring.arguments("dory", "retention", "usual", fresh=False)
    assert words == ["eval", "runs/dory", "--retention"]
    assert measuring.arguments("dory", "plain", "usual", fresh=False) == ["eval", "runs/dory"]


# --- going on, or beginning anew -----------------------------------------------------------


def test_a_measurement_goes_on_where_it_was_cut_off(archive: Archive, folder: Path) -> None:
    assert measuring.measured_share(archive.results("dory"), "quick") == Share(0, 9)
    measure(folder, places=QUICK[:4], limit=8, finished=False)
    found = archive.results("dory")
    assert measuring.measured_share(found, "quick") == Share(4, 9)
    assert not measuring.must_begin_anew(found, "quick")
    measure(folder, places=QUICK, limit=8, finished=False)
    assert measuring.measured_share(archive.results("dory"), "quick") == Share(8, 9)
    measure(folder, places=QUICK, limit=8)
    found = archive.results("dory")
    assert measuring.measured_share(found, "quick").is_whole
    # More or less closely is another measurement.
    assert measuring.must_begin_anew(found, "usual")
    assert measuring.measured_share(found, "usual") == Share(0, 14)


def test_a_place_that_cannot_be_measured_is_not_waited_for(archive: Archive, folder: Path) -> None:
    missing = Skipped(history="long", depth=99, reason="tokens", needs=1000, has=40)
    measure(folder, places=QUICK[:-1], limit=8, skipped=(missing,))
    assert measuring.measured_share(archive.results("dory"), "quick").is_whole


def test_what_is_of_another_checkpoint_or_damaged_is_begun_anew(
    archive: Archive, folder: Path
) -> None:
    measure(folder, places=QUICK, limit=8)
    found = archive.results("dory")
    assert found.card is not None
    retrained = replace(found, card=found.card.model_copy(update={"prefix_sha256": "other"}))
    assert measuring.must_begin_anew(retrained, "quick")
    (folder / "eval" / "retention.json").write_text("{")
    assert measuring.must_begin_anew(archive.results("dory"), "quick")


# --- what it costs -------------------------------------------------------------------------


def cost(archive: Archive, folder: Path, what: What, how: Thoroughness) -> float:
    found, data = archive.results("dory"), archive.dataset("dory")
    return measuring.seconds(found, data, folder, what, how)


def test_more_questions_at_more_depths_take_longer(archive: Archive, folder: Path) -> None:
    quick, usual, full = (cost(archive, folder, "retention", how) for how in EXTENTS)
    assert 0 < quick < usual <= full
    assert cost(archive, folder, "plain", "quick") < cost(archive, folder, "plain", "full")
    # On a machine that trains at half the speed it takes twice as long.
    (folder / "log.jsonl").write_text('{"tokens": 1000, "seconds": 20.0}\n')
    slower = cost(archive, folder, "retention", "quick")
    assert slower - measuring.LOADING == pytest.approx(2 * (quick - measuring.LOADING))


def test_an_earlier_measurement_tells_more_than_the_training(
    archive: Archive, folder: Path
) -> None:
    measure(folder, places=QUICK, limit=8)
    each = 9.0 / 16  # seconds and questions of a cell, see measure()
    expected = cost(archive, folder, "retention", "usual")
    questions = 2 * 13 * min(64, 40)
    assert expected == pytest.approx(each * questions, rel=0.6)


def test_only_what_is_left_is_counted(archive: Archive, folder: Path) -> None:
    measure(folder, places=QUICK[:1], limit=8, finished=False)
    much = cost(archive, folder, "retention", "quick")
    measure(folder, places=QUICK[:-1], limit=8, finished=False)
    assert cost(archive, folder, "retention", "quick") < much / 2
    measure(folder, places=QUICK, limit=8)
    assert cost(archive, folder, "retention", "quick") == 0


@pytest.mark.parametrize("log", [None, "", "{", "[]", '{"tokens": 0, "seconds": 1}', "\n\n"])
def test_where_nothing_is_known_nothing_is_told(
    archive: Archive, folder: Path, log: str | None
) -> None:
    (folder / "log.jsonl").unlink()
    if log is not None:
        (folder / "log.jsonl").write_text(log)
    assert cost(archive, folder, "retention", "quick") == 0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "less than a minute"),
        (240, "about 4 min"),
        (2500, "about 40 min"),
        (9000, "about 2.5 h"),
    ],
)
def test_minutes_are_no_finer_than_they_are_known(seconds: float, words: str) -> None:
    assert measuring.worded_minutes(seconds) == words


# --- how far it is -------------------------------------------------------------------------


def test_the_last_stage_told_counts() -> None:
    said = "loading the base: 0%\nsmall talk k=0: 7%\nweights unpacked by torch\n"
    assert measuring.progress(said) == ("small talk k=0", 0.07)
    assert measuring.progress("闲聊 k=8：x\n闲聊 k=8: 45%\n") == ("闲聊 k=8", 0.45)


@pytest.mark.parametrize("said", ["", "Traceback", "100%", "x: 900%", "a: 5% of it"])
def test_other_output_is_no_progress(said: str) -> None:
    assert measuring.progress(said) is None


def test_the_time_left_follows_from_the_pace_seen() -> None:
    watch = Watch()
    assert watch.left("a", 0.10, now=0) is None
    assert watch.left("a", 0.11, now=60) is None  # too little to tell
    assert watch.left("a", 0.20, now=100) == pytest.approx(800)
    assert watch.left("b", 0.50, now=100) is None


def test_a_new_stage_begins_the_estimate_anew() -> None:
    """Loading the base has a bar of its own, which reaches its end within seconds."""
    watch = Watch()
    watch.left("a", 0.0, now=0)
    watch.left("a", 0.9, now=9)
    assert watch.left("a", 0.0, now=10) is None
    assert watch.left("a", 0.1, now=110) == pytest.approx(900)


def test_results_without_anything_need_everything() -> None:
    assert measuring.measured_share(Results("x"), "full") == Share(0, 14)

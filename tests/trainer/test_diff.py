import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.cli import main
from tests.retentions import cell, reply, retention
from trainer.diff import difference
from trainer.probes import History
from trainer.retention_file import FILE, Cell, Retention, write_retention


def asked(history: History, depth: int, **rights: str) -> Cell:
    """A cell; for each fact a letter a wording: r, w or l."""
    replies = [
        reply(
            fact,
            taught=index > 0,
            right=letter == "r",
            leaked=letter == "l",
            question=f"{fact} {index}",
        )
        for fact, letters in rights.items()
        for index, letter in enumerate(letters)
    ]
    return cell(history, depth, *replies)


@pytest.fixture
def before() -> Retention:
    return retention(
        asked("neutral", 0, name="rr", boat="rr", gull="ww"),
        asked("neutral", 8, name="rw", boat="lw", gull="ww"),
        asked("long", 25, name="ww", boat="ww", gull="ww"),
        facts=("name", "boat", "gull"),
    )


@pytest.fixture
def after() -> Retention:
    return retention(
        asked("neutral", 0, name="rr", boat="rw", kettle="rr"),
        asked("neutral", 8, name="rr", boat="ww", kettle="rr"),
        asked("neutral", 16, name="rr", boat="rr", kettle="rr"),
        asked("long", 27, name="wr", boat="ll", kettle="rr"),
        facts=("kettle", "boat", "name"),
    )


def test_each_fact_is_compared_at_each_depth(before: Retention, after: Retention) -> None:
    found = difference(before, after)
    changes = [(c.fact, c.history, c.depth, c.better) for c in found.facts]
    assert changes == [
        ("boat", "neutral", 0, False),
        ("boat", "neutral", 8, True),  # it no longer leaks
        ("boat", "long", 27, False),
        ("name", "neutral", 8, True),
        ("name", "long", 27, True),
    ]
    boat = found.facts[1]
    assert (boat.before.leaked, boat.before.wrong, boat.after.wrong) == (1, 1, 2)
    assert found.only_before == ("gull",) and found.only_after == ("kettle",)


def test_the_shares_of_both_stand_side_by_side(before: Retention, after: Retention) -> None:
    found = difference(before, after)
    assert [(c.history, c.depth) for c in found.cells] == [
        ("neutral", 0), ("neutral", 8), ("long", 27)
    ]  # fmt: skip
    deep = found.cells[1]
    assert deep.recall == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert deep.train_pair == (0, pytest.approx(2 / 3))
    assert deep.leaks == (pytest.approx(1 / 6), 0)


def test_a_run_does_not_differ_from_itself(before: Retention) -> None:
    found = difference(before, before)
    assert not found.facts and not found.persona_changed and not found.settings_changed
    assert all(cell.recall[0] == cell.recall[1] for cell in found.cells)


def test_only_wordings_that_both_asked_are_compared(before: Retention) -> None:
    """A fact with a new wording that fails did not get worse."""
    more = retention(asked("neutral", 0, name="rrww", boat="rr", gull="ww"), facts=before.facts)
    assert not difference(before, more).facts
    other = retention(cell("neutral", 0, reply("name", taught=False, right=False)))
    (change,) = difference(before, other).facts
    assert change.fact == "name" and not change.better


def test_what_was_measured_otherwise_is_told(before: Retention) -> None:
    subject = before.subject.model_copy(
        update={"persona_digest": "x", "limit": 4, "guarded": True, "prefix_sha256": "y"}
    )
    found = difference(before, before.model_copy(update={"subject": subject}))
    assert found.persona_changed and found.settings_changed == ("limit", "guarded")


# --- the command ----------------------------------------------------------------------------

Renshe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renshe(capsys: pytest.CaptureFixture[str]) -> Renshe:
    def call(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def runs(before: Retention, after: Retention, tmp_path: Path) -> tuple[Path, Path]:
    subject = after.subject.model_copy(update={"persona_digest": "edited"})
    for name, found in {"a": before, "b": after.model_copy(update={"subject": subject})}.items():
        write_retention(found, tmp_path / name / "eval" / FILE)
    return tmp_path / "a", tmp_path / "b"


def test_the_changes_are_printed(renshe: Renshe, runs: tuple[Path, Path]) -> None:
    code, out, err = renshe("diff", *runs)
    assert (code, err) == (0, "")
    assert "33% → 67% (+33)" in out and "The persona was changed." in out
    assert "facts of the first alone: gull" in out and "facts of the second alone: kettle" in out
    assert "better: 2" in out and "↑ name: small talk k=8 1/2→2/2, long talk k=27 0/2→1/2" in out
    assert "worse: 1" in out and "↓ boat: small talk k=0 2/2→1/2, long talk k=27" in out
    assert "0/2→0/2 (2 leaked)" in out
    code, out, _ = renshe("--lang", "zh", "diff", *runs)
    assert code == 0 and "变好的: 2" in out and "better" not in out


def test_the_changes_are_json_too(
    renshe: Renshe, runs: tuple[Path, Path], before: Retention, after: Retention
) -> None:
    code, out, _ = renshe("diff", *runs, "--json")
    assert code == 0
    expected = json.loads(difference(before, after).model_dump_json()) | {"persona_changed": True}
    assert json.loads(out) == expected


def test_what_is_missing_says_which_command_makes_it(
    renshe: Renshe, runs: tuple[Path, Path], tmp_path: Path
) -> None:
    code, out, err = renshe("diff", tmp_path / "x", tmp_path / "y")
    assert (code, out) == (2, "")
    for name in ("x", "y"):
        assert f"{tmp_path / name / 'eval' / FILE}: retention has not been measured yet" in err
        assert f"→ renshe eval {tmp_path / name} --retention" in err
    assert renshe("diff", runs[0], tmp_path / "y")[0] == 2


def test_runs_without_a_depth_in_common_are_told(
    renshe: Renshe, runs: tuple[Path, Path], before: Retention
) -> None:
    write_retention(retention(facts=before.facts), runs[1] / "eval" / FILE)
    code, out, _ = renshe("diff", *runs)
    assert code == 0 and "No depth was measured in both." in out


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_command_is_explained(renshe: Renshe, language: str) -> None:
    code, out, _ = renshe("--lang", language, "diff", "--help")
    assert code == 0 and "renshe diff run-before run-after" in out and "--json" in out

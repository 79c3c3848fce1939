import json
from pathlib import Path

from bot.studio.train.chart import curves
from bot.studio.train.run_log import read_log


def write(folder: Path, *lines: dict[str, object] | str) -> None:
    told = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "log.jsonl").write_text("\n".join(told), encoding="utf-8")


def point(step: int, seconds: float, **more: object) -> dict[str, object]:
    fresh = {"dev_loss": None, "retention": None, "tokens": step * 100}
    return {"step": step, "steps": 10, "loss": 1.0, "seconds": seconds, **fresh, **more}


def test_a_run_without_a_log_has_nothing_to_tell(tmp_path: Path) -> None:
    log = read_log(tmp_path)
    assert (log.last, log.speed, log.left, log.average) == (None, None, None, None)
    assert "<svg" in curves(log.points, 100)


def test_speed_and_the_time_that_is_left(tmp_path: Path) -> None:
    write(tmp_path, *(point(step, step * 2.0) for step in range(1, 6)))
    log = read_log(tmp_path)
    assert (log.speed, log.left, log.average) == (50.0, 10.0, 50.0)
    assert log.last is not None and log.last.step == 5


def test_figures_that_are_taken_now_and_then_stay(tmp_path: Path) -> None:
    write(tmp_path, point(1, 1), point(2, 2, dev_loss=0.5, retention=0.75), point(3, 3))
    log = read_log(tmp_path)
    assert (log.latest("dev_loss"), log.latest("retention")) == (0.5, 0.75)


def test_a_resumed_run_is_one_curve_and_its_pace_is_of_now(tmp_path: Path) -> None:
    """Cut off at 4, it went on from the checkpoint at 2, twice as fast, with a new clock."""
    before = [point(step, step * 2.0) for step in range(1, 5)]
    after = [point(step, step - 2.0, loss=0.5) for step in range(3, 6)]
    write(tmp_path, *before, *after)
    log = read_log(tmp_path)
    assert [each.step for each in log.points] == [1, 2, 3, 4, 5]
    assert [each.loss for each in log.points] == [1.0, 1.0, 0.5, 0.5, 0.5]
    assert (log.speed, log.left) == (100.0, 5.0)


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    wrong = ['{"step": 2', "[]", "null", json.dumps({"step": 1})]
    unsound = [point(3, 3, loss=float("nan")), point(11, 4)]
    write(tmp_path, point(1, 1), *wrong, *unsound, '{"step": 4, "st')
    assert [each.step for each in read_log(tmp_path).points] == [1]


def test_curves_show_both_losses_and_stay_small(tmp_path: Path) -> None:
    write(tmp_path, *(point(step, step, dev_loss=2.0) for step in range(1, 4)))
    drawn = curves(read_log(tmp_path).points, 10)
    assert drawn.count("<circle") == 3 and drawn.count('class="curve') == 2
    many = [json.loads(json.dumps(point(step, step))) for step in range(1, 5001)]
    write(tmp_path, *({**each, "steps": 5000} for each in many))
    assert len(curves(read_log(tmp_path).points, 5000)) < 12_000

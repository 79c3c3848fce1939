from pathlib import Path

import pytest

from bot.studio.workshop import Workshop
from trainer.errors import RensheError

OUTSIDE = ["../x", "..", ".", "", "a/b", "a\\b", "/etc/passwd", ".studio", "a\0b", "x" * 65, "a\n"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_what_is_no_plain_name_becomes_no_path(tmp_path: Path, name: str) -> None:
    workshop = Workshop(tmp_path)
    for place in (workshop.persona_file, workshop.run_folder):
        with pytest.raises(RensheError, match="cannot be a name"):
            place(name)
    assert not list(tmp_path.rglob("*.yaml"))


def test_an_id_may_be_of_any_script(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    assert workshop.persona_file("小满") == tmp_path / "personas" / "小满.yaml"
    assert workshop.run_folder("xiao-man.2") == tmp_path / "runs" / "xiao-man.2"


def test_what_is_there_is_found_and_the_youngest_run_comes_first(tmp_path: Path) -> None:
    import os

    workshop = Workshop(tmp_path)
    assert workshop.personas() == [] and workshop.runs() == []
    for name in ("b", "a"):
        workshop.persona_file(name).touch()
    for age, name in enumerate(("new", "old")):
        folder = workshop.run_folder(name)
        folder.mkdir()
        (folder / "run.json").touch()
        os.utime(folder / "run.json", (1000 - age, 1000 - age))
    workshop.run_folder("empty").mkdir()
    assert workshop.own.is_dir()
    assert workshop.personas() == ["a", "b"]
    assert workshop.runs() == ["new", "old"]


def test_a_link_that_leads_out_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("name: x\n")
    workshop = Workshop(tmp_path / "project")
    workshop.persona_file("a").symlink_to(secret)
    assert workshop.personas() == []
    with pytest.raises(RensheError):
        workshop.persona_file("a")

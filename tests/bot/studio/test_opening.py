"""What lets the studio open soon: Gradio without its stubs, names without their personas."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio")

from bot.studio.persona.page import example_names, examples
from bot.studio.workshop import Workshop, name_of
from trainer.persona import load_persona

PROGRAM = """
import ast, inspect

def parsed(*_):
    raise AssertionError("a component's source was read for its stub")

ast.get_source_segment = parsed
find = inspect.getfile
from bot.studio.quick_import import import_gradio
import_gradio()
import gradio
assert inspect.getfile is find
with gradio.Blocks():
    gradio.Textbox().submit(print)
print("imported")
"""


def test_gradio_is_imported_whole_without_reading_sources_for_stubs() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.strip(), done.returncode) == ("imported", 0), done.stderr


def test_the_names_on_the_buttons_are_the_personas_own(tmp_path: Path) -> None:
    names = example_names(Workshop(tmp_path))
    assert len(names) >= 2
    assert names == {path.stem: load_persona(path).name for path in examples()}
    assert example_names(Workshop(examples()[0].parents[1])) == {}, "they are there already"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("name: Lin  # mine\n", "Lin"),
        ("# a\nname: 'Lin'\n", "Lin"),
        ("{name: Lin}\n", "some"),
        ("name:\n  Lin\n", "Lin"),
        ("\0\xff", "some"),
    ],
)
def test_a_file_that_does_not_tell_its_name_has_its_id(
    tmp_path: Path, text: str, name: str
) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert name_of(path) == name
    assert name_of(tmp_path / "none.yaml") == "none"

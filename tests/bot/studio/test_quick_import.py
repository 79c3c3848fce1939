"""Importing Gradio without its stubs."""

import subprocess
import sys

from bot.studio.persona.page import example_names, examples
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


def test_the_names_on_the_buttons_are_the_personas_own() -> None:
    names = example_names()
    assert len(names) >= 2
    assert names == {path.stem: load_persona(path).name for path in examples()}

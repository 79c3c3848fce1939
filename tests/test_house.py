"""The rules of the house that no single module can keep: who imports whom, what is shipped."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer.check import check_persona
from trainer.dataset import compile_persona
from trainer.persona import Persona, load_persona

ROOT = Path(__file__).parents[1]
PACKAGES = ("trainer", "bot", "plugins", "benchmarks")
PERSONAS = sorted((ROOT / "personas").glob("*.yaml"))
LIGHT = (
    *("persona", "chat", "check", "dataset", "metrics", "config", "checkpoint", "bases", "cli"),
    *("inspect_base", "guard", "talk_check", "retention_file", "report", "diff"),
    *("evaluation_file", "report_parts", "extent"),
)


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The top packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def named(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


# --- code -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "above"),
    [
        ("trainer", {"bot", "plugins", "benchmarks", "tests"}),
        ("bot", {"plugins", "benchmarks", "tests"}),
        ("plugins", {"benchmarks", "tests"}),
    ],
)
def test_imports_run_one_way(package: str, above: set[str]) -> None:
    assert package == "plugins" or len(modules(package)) > 1
    wrong = [path for path in modules(package) if above & set(imported(path))]
    assert not named(wrong)


@pytest.mark.parametrize("module", LIGHT)
def test_what_needs_no_model_loads_no_torch(module: str) -> None:
    code = (
        f"import sys, trainer.{module}; "
        "print(sorted({'torch', 'transformers', 'gradio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_every_module_says_why_it_is_there() -> None:
    found = [path for package in PACKAGES for path in modules(package)]
    assert len(found) > 30
    silent = [path for path in found if not ast.get_docstring(ast.parse(path.read_text("utf-8")))]
    assert not named(silent)


def test_nothing_is_called_utils() -> None:
    found = [path for package in PACKAGES for path in modules(package)]
    assert not [path for path in found if re.search(r"util|helper|misc", path.stem)]


def repository() -> Iterator[Path]:
    """Every text file that belongs to the project, not what is built or installed."""
    left_out = {"data", "runs", "build", "dist", "node_modules", "__pycache__"}
    for folder, names, files in os.walk(ROOT):
        top = Path(folder) == ROOT
        names[:] = [
            name
            for name in names
            if (name == ".ci" or not name.startswith("."))
            and not name.endswith(".egg-info")
            and name != "__pycache__"
            and not (top and name in left_out)
        ]
        yield from (Path(folder) / name for name in files)


def test_no_file_knows_the_machine_it_was_written_on() -> None:
    places = re.compile(rb"(?<![\w.~-])/(?:work|tmp/scratch|root)/")
    found = list(repository())
    assert len(found) > 50
    assert not named([path for path in found if places.search(path.read_bytes())])


# --- personas ---------------------------------------------------------------------------------


def test_every_benchmark_can_be_run_by_its_name() -> None:
    """Those that end in ``_run`` are processes of others."""
    benchmarks = {
        path.stem
        for path in modules("benchmarks")
        if "\ndef main(" in path.read_text("utf-8")
        and not path.stem.endswith("_run")
        and path.stem not in ("__main__", "onebot_load")
    }
    entry = ast.parse((ROOT / "benchmarks" / "__main__.py").read_text("utf-8"))
    named = [
        value
        for node in entry.body
        if isinstance(node, ast.Assign)
        for value in ast.literal_eval(node.value)
    ]
    assert len(benchmarks) >= 8
    assert sorted(named) == sorted(benchmarks)


def test_personas_are_shipped() -> None:
    personas = [load_persona(path) for path in PERSONAS]
    assert {persona.language for persona in personas} == {"zh", "en"}
    assert len(personas) >= 2
    assert "沐雪" in {persona.name for persona in personas}


@pytest.mark.parametrize("path", PERSONAS, ids=lambda path: path.name)
def test_a_shipped_persona_has_no_errors_and_compiles(path: Path) -> None:
    report = check_persona(path)
    assert report.persona is not None
    assert not [str(fault) for fault in report.errors]
    dataset = compile_persona(report.persona)
    assert dataset.train and dataset.dev
    assert dataset.manifest.leak_check.exact == dataset.manifest.leak_check.near == 0


def pairs(persona: Persona) -> int:
    return sum(1 for _ in persona.pairs())


def test_muxue_is_large_enough() -> None:
    muxue = load_persona(ROOT / "personas" / "muxue.yaml")
    assert muxue.name == "沐雪" and muxue.language == "zh"
    assert pairs(muxue) >= 120 and len(muxue.facts) >= 40 and len(muxue.dialogues) >= 10


def test_an_english_persona_is_large_enough() -> None:
    personas = [load_persona(path) for path in PERSONAS]
    assert any(pairs(persona) >= 60 for persona in personas if persona.language == "en")

"""Every command of the README is run, on the real base where it needs one."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RENSHE = str(Path(sys.executable).with_name("renshe"))
SHORTER = {
    # The commands are the README's; only how long they take is cut.
    "train": ["--set", "max_steps=2", "--set", "save_steps=2"],
    "eval": ["--limit", "2"],
}


def commands(readme: str) -> list[list[str]]:
    text = (ROOT / readme).read_text("utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("renshe ", "make "))]


@pytest.mark.parametrize("readme", ["README.md", "README_en.md"])
def test_make_targets_exist(readme: str) -> None:
    targets = [words[1] for words in commands(readme) if words[0] == "make"]
    assert targets[:2] == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)


def test_both_readmes_give_the_same_commands() -> None:
    chinese, english = commands("README.md"), commands("README_en.md")
    assert [words[:2] for words in chinese] == [words[:2] for words in english]


@pytest.mark.base
@pytest.mark.parametrize("readme", ["README.md"])
def test_every_renshe_command_runs(readme: str, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "personas", tmp_path / "personas")
    ran = []
    for words in commands(readme):
        if words[0] != "renshe" or words[1] == "demo":  # the page has its own browser test
            continue
        run = subprocess.run(
            [RENSHE, *words[1:], *SHORTER.get(words[1], [])],
            cwd=tmp_path,
            input="你是谁\n/exit\n",
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{words}\n{run.stdout}\n{run.stderr}"
        ran.append(words[1])
    assert set(ran) >= {"new", "check", "schema", "compile", "train", "eval", "chat", "bases"}

"""Every command of the README is run.

CI runs them with a small base in the place of ``tiny``, which many minutes of talk would take;
``make test-long`` runs them as they are written.
"""

import json
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
    "train": ["--set", "max_steps=2", "--set", "save_steps=2", "--set", "serve=last"],
    "eval": ["--limit", "2"],
    "--retention": ["--limit", "1", "--depths", "0,2", "--history-tokens", "0"],
    "chatglm2-6b-int4": [
        # Its tokenizer has 507 pieces: the same text is many more tokens.
        *("--set", "pre_seq_len=8", "--set", "max_source_length=2000"),
        *("--set", "max_target_length=2000", "--set", "gradient_accumulation_steps=1"),
    ],
}
PAGES = ("demo", "studio")
"""They stay open, and have browser tests of their own."""

REFERENCE = ROOT / "tests" / "data" / "chatglm2"
TRAIN_SH = """PRE_SEQ_LEN=8
LR=2e-2
python3 main.py --do_train --max_source_length 64 --max_target_length 128 \\
    --per_device_train_batch_size 1 --gradient_accumulation_steps 16 --max_steps 3000 \\
    --learning_rate $LR --pre_seq_len $PRE_SEQ_LEN --quantization_bit 4
"""


SECTIONS = {
    "自己写一个": [
        "new",
        "check",
        "schema",
        "compile",
        "train",
        "eval",
        "chat",
        "bases",
        "config",
        "run",
    ],
    "ChatGLM2-6B、ChatGLM3-6B": ["bases", "plan", "train", "train", "prefix", "prefix"],
}
"""The sections that show commands, and what is among them at least."""


def official_folder(folder: Path) -> None:
    """The tiny ChatGLM2 in the released int4 layout, with room for a long text."""
    shutil.copytree(REFERENCE / "chatglm2-tiny", folder)
    shutil.copy(REFERENCE / "chatglm2-tiny-int4" / "model.safetensors", folder)
    config = json.loads((REFERENCE / "chatglm2-tiny-int4" / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "seq_length": 8192}), "utf-8")


def commands(readme: str, section: str = "") -> list[list[str]]:
    """The commands of a README, or of one of its sections."""
    text = (ROOT / readme).read_text("utf-8")
    if section:
        text = text.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.startswith(("renshe ", "make "))]


def settings(readme: str) -> str:
    """The bot's settings that the README shows."""
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / readme).read_text("utf-8"), re.DOTALL)
    return str(block)


@pytest.mark.parametrize("readme", ["README.md", "README_en.md"])
def test_make_targets_exist(readme: str) -> None:
    targets = [words[1] for words in commands(readme) if words[0] == "make"]
    assert targets[:2] == ["demo", "test"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)


def test_both_readmes_give_the_same_commands() -> None:
    chinese, english = commands("README.md"), commands("README_en.md")
    assert [words[:2] for words in chinese] == [words[:2] for words in english]


@pytest.fixture
def roomy_base(tiny_base_folder: Path, tmp_path: Path) -> Path:
    """A small base that says nothing of sense, with room for the text of a whole persona."""
    folder = tmp_path / "small"
    shutil.copytree(tiny_base_folder, folder)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 8192}))
    return folder


@pytest.mark.parametrize("section, least", SECTIONS.items())
def test_every_renshe_command_runs(
    section: str, least: list[str], roomy_base: Path, tmp_path: Path
) -> None:
    run_commands(section, least, tmp_path, instead={"tiny": roomy_base.name})


@pytest.mark.base
@pytest.mark.long
@pytest.mark.parametrize("section, least", SECTIONS.items())
def test_every_renshe_command_runs_on_the_real_base(
    section: str, least: list[str], tmp_path: Path
) -> None:
    run_commands(section, least, tmp_path, instead={})


def run_commands(section: str, least: list[str], tmp_path: Path, instead: dict[str, str]) -> None:
    """Run a section's commands in an empty folder, with another base in the place of some."""
    shutil.copytree(ROOT / "personas", tmp_path / "personas")
    shutil.copytree(ROOT / "trainer" / "configs", tmp_path / "trainer" / "configs")
    official_folder(tmp_path / "chatglm2-6b-int4")
    (tmp_path / "train.sh").write_text(TRAIN_SH, "utf-8")
    (tmp_path / "renshe.yaml").write_text(settings("README.md"), "utf-8")
    ran = []
    for words in commands("README.md", section):
        if words[0] != "renshe" or words[1] in PAGES:
            continue
        shorter = list(SHORTER.get(words[1], []))
        if "--retention" in words:
            shorter = SHORTER["--retention"]
        if words[1] == "train" and "chatglm2-6b-int4" in words:
            shorter += SHORTER["chatglm2-6b-int4"]
        if words[1] == "train" and "--base" not in words and instead:
            shorter += ["--base", *instead.values()]
        named = [instead.get(word, word) for word in words[1:]]
        run = subprocess.run(
            [RENSHE, *named, *shorter],
            cwd=tmp_path,
            input="你是谁\n/exit\n",
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, f"{words}\n{run.stdout}\n{run.stderr}"
        ran.append(words[1])
    assert all(ran.count(command) >= least.count(command) for command in least)


def test_no_command_stands_where_it_is_not_run() -> None:
    run = [words for section in SECTIONS for words in commands("README.md", section)]
    everywhere = [words for words in commands("README.md") if words[0] == "renshe"]
    assert [words for words in run if words[0] == "renshe"] == everywhere

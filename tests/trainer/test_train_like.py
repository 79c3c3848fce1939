import io
import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.cli import main
from trainer.config import load_config
from trainer.persona import load_persona

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "tests" / "data" / "personas" / "good.yaml"
CONFIGS = sorted((ROOT / "trainer" / "configs").glob("*.yaml"))
SCRIPT = """\
STEPS=2
python3 main.py \\
    --do_train \\
    --train_file data/t.json \\
    --validation_file data/v.json \\
    --prompt_column q \\
    --response_column a \\
    --overwrite_cache \\
    --model_name_or_path {base} \\
    --output_dir out-$STEPS \\
    --max_source_length 64 \\
    --max_target_length 64 \\
    --per_device_train_batch_size 1 \\
    --max_steps $STEPS \\
    --save_steps 2 \\
    --learning_rate 2e-2 \\
    --pre_seq_len 4
"""

Renshe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renshe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Renshe:
    """``renshe`` in a folder with data of another tool."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    rows = [{"q": "who are you", "a": "Dory"}, {"q": "where do you live", "a": "in the sea"}]
    Path("data/t.json").write_text(json.dumps(rows))
    Path("data/v.json").write_text(json.dumps([{"q": "what is your name", "a": "Dory"}]))

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def card(folder: str) -> dict[str, object]:
    settings = json.loads(Path(folder, "checkpoint-2", "checkpoint.json").read_text("utf-8"))
    assert isinstance(settings, dict)
    return settings


def test_a_pasted_script_trains(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, tiny_base_folder: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(SCRIPT.format(base=tiny_base_folder)))
    code, out, err = renshe("train", "--like", "-", "--persona", GOOD)
    assert code == 0, err
    assert "--overwrite_cache: ignored, " in out and "--pre_seq_len 4: taken" in out
    assert "train 2 (pair 2), dev 1" in out
    settings = card("out-2")["settings"]
    assert isinstance(settings, dict)
    official = {"seed": 42, "warmup_steps": 0, "prefix_init": "random", "head_sample": 0}
    assert {name: settings[name] for name in official} == official
    assert settings["quantization_bit"] is None and settings["gradient_checkpointing"] is True
    assert settings["learning_rate"] == 0.02


def test_options_win_over_the_script(renshe: Renshe, tiny_base_folder: Path) -> None:
    Path("train.sh").write_text(SCRIPT.format(base="THUDM/chatglm2-6b"))
    Path("own.yaml").write_text("seed: 5\n")
    code, out, err = renshe(
        *("train", GOOD, "--like", "train.sh", "--base", tiny_base_folder, "--out", "mine"),
        *("--config", "own.yaml", "--set", "pre_seq_len=3", "--bits", "8"),
    )
    assert code == 0, err
    assert "--model_name_or_path THUDM/chatglm2-6b: ignored, --base is given" in out
    assert "length 3, " in out and "bits 8" in out
    assert not Path("out-2").exists()
    made = card("mine")
    assert made["persona"] == json.loads(load_persona(GOOD).model_dump_json())
    assert isinstance(made["settings"], dict) and made["settings"]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--like", "nowhere.sh"], "nowhere.sh"),
        (["--like", "train.sh", "--persona", GOOD], "train.sh:9: "),
        (["--like", "train.sh", "--base", "x", "--out", "run"], "--persona"),
        (["--like", "train.sh", "--resume", "--out", "run"], "--like"),
        (["--like", "none.sh", "--base", "x", "--out", "run"], "nothing to train on"),
        (["--like", "none.sh", "--base", "x"], "--out"),
        ([GOOD], "--out"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_loaded(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, arguments: list[object], said: str
) -> None:
    monkeypatch.setitem(sys.modules, "trainer.model", None)
    Path("train.sh").write_text(SCRIPT.format(base="THUDM/chatglm2-6b"))
    Path("none.sh").write_text("python3 main.py --do_train --max_steps 2 --pre_seq_len 4")
    code, _, err = renshe("train", *arguments)
    assert code == 2 and said in err and "Traceback" not in err


# --- the settings that are shipped -------------------------------------------------------------


def test_settings_are_shipped() -> None:
    names = {path.stem for path in CONFIGS}
    assert names == {"chatglm2_6b_int4", "chatglm2_6b_int4_chat"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_first_line_of_settings_is_the_command_that_uses_them(path: Path) -> None:
    import typer

    from trainer.cli import register

    load_config(path)
    first = path.read_text("utf-8").splitlines()[0]
    program, command, *words = shlex.split(first.removeprefix("# "))
    app = typer.Typer()
    register(app)
    train = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    options = train.make_context("train", words).params
    assert program == "renshe" and command == "train"
    assert ROOT / options["config"] == path
    assert options["out"] and (options["persona"] or (ROOT / options["source"]).is_file())


@pytest.mark.parametrize("name", ["chatglm2_6b_int4", "chatglm2_6b_int4_chat"])
def test_official_settings_say_what_was_changed(name: str) -> None:
    """Each line says either that it is the script's own or what the script has."""
    text = (ROOT / "trainer" / "configs" / f"{name}.yaml").read_text("utf-8")
    lines = [line for line in text.splitlines() if line and line[0] != "#"]
    assert all(re.fullmatch(r"\w+: \S+ +# .+", line) for line in lines)
    config = load_config(ROOT / "trainer" / "configs" / f"{name}.yaml")
    assert (config.quantization_bit, config.pre_seq_len) == (4, 128)
    assert config.gradient_accumulation_steps == 16
    lengths = (config.max_source_length, config.max_target_length)
    assert (config.learning_rate, lengths) == (
        (0.01, (256, 256)) if name.endswith("_chat") else (0.02, (64, 128))
    )

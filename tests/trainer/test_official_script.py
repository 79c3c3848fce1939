import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.config import TrainConfig
from trainer.errors import SourceError
from trainer.official_flags import OFFICIAL, SETTINGS
from trainer.official_script import OfficialScript, read_script
from trainer.shell_words import commands

HERE = Path("train.sh")
TRAIN = """\
PRE_SEQ_LEN=128
LR=2e-2
NUM_GPUS=1

torchrun --standalone --nnodes=1 --nproc-per-node=$NUM_GPUS main.py \\
    --do_train \\
    --train_file AdvertiseGen/train.json \\
    --validation_file AdvertiseGen/dev.json \\
    --preprocessing_num_workers 10 \\
    --prompt_column content \\
    --response_column summary \\
    --overwrite_cache \\
    --model_name_or_path THUDM/chatglm2-6b \\
    --output_dir output/adgen-chatglm2-6b-pt-$PRE_SEQ_LEN-${LR} \\
    --overwrite_output_dir \\
    --max_source_length 64 \\
    --max_target_length 128 \\
    --per_device_train_batch_size 1 \\
    --per_device_eval_batch_size 1 \\
    --gradient_accumulation_steps 16 \\
    --predict_with_generate \\
    --max_steps 3000 \\
    --logging_steps 10 \\
    --save_steps 1000 \\
    --learning_rate $LR \\
    --pre_seq_len $PRE_SEQ_LEN \\
    --quantization_bit 4

"""
SHORT = "python3 main.py --do_train --max_steps 3 --pre_seq_len 4"


def read(text: str, *given: str) -> OfficialScript:
    return read_script(text, HERE, given)


def faults(text: str, *given: str) -> list[tuple[int, str, str]]:
    with pytest.raises(SourceError) as caught:
        read(text, *given)
    assert all(fault.path == HERE and fault.fix for fault in caught.value.faults)
    return [(fault.line, fault.problem, fault.fix) for fault in caught.value.faults]


def test_the_official_script_becomes_settings() -> None:
    script = read(TRAIN, "base")
    assert script.config == TrainConfig(
        pre_seq_len=128,
        learning_rate=2e-2,
        max_source_length=64,
        max_target_length=128,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=16,
        max_steps=3000,
        logging_steps=10,
        save_steps=1000,
        quantization_bit=4,
        seed=42,
        warmup_steps=0,
        prefix_init="random",
        head_sample=0,
        gradient_checkpointing=True,
    )
    assert script.train_file == Path("AdvertiseGen/train.json")
    assert script.validation_file == Path("AdvertiseGen/dev.json")
    assert script.columns == {"prompt_column": "content", "response_column": "summary"}
    assert script.out == Path("output/adgen-chatglm2-6b-pt-128-2e-2")


def test_every_flag_is_told_once_and_what_is_left_out_is_too() -> None:
    *lines, last = read(TRAIN, "base").lines()
    flags = [line.split()[0] for line in TRAIN.splitlines() if line.startswith("    --")]
    assert [line.split()[0].rstrip(":") for line in lines] == flags
    assert all((": taken" in line) != (": ignored, " in line) for line in lines)
    assert "--overwrite_cache: ignored, " in "\n".join(lines)
    assert "seed=42" in last and "head_sample=0" in last and "learning_rate" not in last


def test_a_name_on_a_hub_is_not_fetched() -> None:
    ((line, problem, fix),) = faults(TRAIN)
    assert line == 13 and "THUDM/chatglm2-6b" in problem and "--base PATH" in fix


def test_a_folder_on_disk_is_the_base(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert read(f"{SHORT} --model_name_or_path '{tmp_path}'").base == str(tmp_path)


def test_what_is_given_wins_and_is_said() -> None:
    script = read(TRAIN, "base", "source", "out", "max_steps")
    assert script.train_file is script.validation_file is script.out is script.base is None
    assert script.columns == {} and script.config.max_steps == TrainConfig().max_steps
    told = "\n".join(script.lines())
    for said in (
        "--train_file AdvertiseGen/train.json: ignored, SOURCE",
        "--out is given",
        "--base",
    ):
        assert said in told
    assert "--max_steps 3000: ignored, max_steps is given" in told


@pytest.mark.parametrize(
    ("text", "line", "said", "fix"),
    [
        (f"{SHORT} --seed $(date +%s)", 1, "$(date +%s)", "value"),
        (f"{SHORT} --seed `date`", 1, "`date`", "value"),
        (f"A=$(date)\n{SHORT} --seed $A", 2, "$(date)", "value"),
        (f"{SHORT} \\\n  --train_file $CHAT_DATA", 2, "CHAT_DATA", "CHAT_DATA=..."),
        (f"{SHORT} --train_file ${{DIR}}/train.json", 1, "DIR", "DIR=..."),
        (f"{SHORT} --train_file $1", 1, "$1", "value"),
        (f"{SHORT} --prefix_projection", 1, "prefix_projection", "leave it out"),
        (f"{SHORT} --learning_rat 1", 1, "learning_rat", "--learning_rate"),
        (f"{SHORT} --xyzzy", 1, "xyzzy", "leave it out"),
        (f"{SHORT} --seed abc", 1, "--seed abc", ""),
        (f"{SHORT} --quantization_bit 3", 1, "--quantization_bit 3", ""),
        (f"{SHORT} --seed --overwrite_cache", 1, "no value", "value"),
        (f"{SHORT} --seed 1 2", 1, "'2'", "quotes"),
        (f"{SHORT} --lr_scheduler_type cosine", 1, "linear", "leave it out"),
        (f"{SHORT} --max_train_samples 5", 1, "max_train_samples", "shorter"),
        (f"{SHORT} --train_file 'a", 1, "quote", "close"),
        (f"{SHORT} \\ \n  --seed 1", 2, "--seed", "backslash"),
        ("", 0, "main.py", "--do_train"),
        ("python3 web_demo.py", 0, "main.py", "--do_train"),
        (f"{SHORT}\n{SHORT}", 2, "1, 2", "keep one"),
        (SHORT.replace("--do_train", "--do_predict"), 0, "--do_train", "renshe eval"),
        (SHORT.replace("--max_steps 3", ""), 0, "--max_steps", "--set max_steps"),
        (SHORT.replace("--pre_seq_len 4", ""), 0, "--pre_seq_len", "--set pre_seq_len"),
    ],
)
def test_what_cannot_be_followed_is_refused(text: str, line: int, said: str, fix: str) -> None:
    found = faults(text)
    assert any(at == line and said in problem and fix in how for at, problem, how in found)


def test_all_faults_come_at_once() -> None:
    text = f"{SHORT} \\\n --seed x \\\n --xyzzy \\\n --train_file $NOT_SET"
    assert [line for line, _, _ in faults(text)] == [2, 3, 4]


def test_what_is_missing_may_be_given() -> None:
    read(SHORT.replace("--max_steps 3", "").replace("--pre_seq_len 4", ""), *SETTINGS)


@pytest.mark.parametrize(
    "text",
    [
        f"#!/bin/bash\nset -e  # stop\ncd ptuning && DEVICES=0 {SHORT} --seed=7 > log.txt &",
        f"export SEED=7\n{SHORT} --seed ${{SEED}} 2>&1 | tee log",
        f"A=7 B='x y'\r\nSEED=\"$A\"\r\n{SHORT} \\\r\n  --seed $SEED\r\n",
        f"PORT=$(shuf -n 1)\ndeepspeed --num_gpus=4 --master_port $PORT {SHORT[8:]} --seed 7",
        f"{SHORT} --seed 8 --seed 7",
        f"{SHORT.replace('main.py', './ptuning/main.py')} --seed 7 # --seed 9",
    ],
)
def test_shells_are_understood_as_far_as_scripts_use_them(text: str) -> None:
    assert read(text).config.seed == 7


def test_quotes_keep_what_a_shell_keeps() -> None:
    text = """A='p q'\nx "$A" '$A' a\\ b "c # d" e#f # g\n"""
    ((first, *rest),) = commands(text, HERE)
    assert first.text == "x"
    assert [word.text for word in rest] == ["p q", "$A", "a b", "c # d", "e#f"]


def test_the_official_defaults_are_settings() -> None:
    assert set(OFFICIAL) < set(TrainConfig.model_fields)
    assert set(SETTINGS.values()) < set(TrainConfig.model_fields)


@given(
    st.dictionaries(
        st.sampled_from(["max_steps", "seed", "logging_steps", "pre_seq_len", "save_steps"]),
        st.integers(1, 10**6),
        min_size=5,
    ),
    st.text(string.ascii_letters + "$`'\"\\ #", max_size=30),
)
def test_a_number_reaches_its_setting_whatever_comes_after_it(
    numbers: dict[str, int], comment: str
) -> None:
    flags = " \\\n ".join(f"--{name} {value}" for name, value in numbers.items())
    script = read(f"python3 main.py --do_train {flags} # {comment.rstrip(chr(92))}")
    assert {name: getattr(script.config, name) for name in numbers} == numbers

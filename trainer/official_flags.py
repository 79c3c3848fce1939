"""The flags of the official ptuning code, and what each means here.

Most are settings under the same name; some are places that an option of ours gives too;
some change nothing here, and some cannot be followed. A flag that is none of these is a
misspelling, and is refused as ``argparse`` does.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from trainer.language import say

OFFICIAL: Mapping[str, Any] = {
    "learning_rate": 5e-5,
    "per_device_train_batch_size": 8,
    "gradient_accumulation_steps": 1,
    "max_source_length": 1024,
    "max_target_length": 128,
    "warmup_steps": 0,
    "max_grad_norm": 1.0,
    "logging_steps": 500,
    "save_steps": 500,
    "seed": 42,
    "quantization_bit": None,
    "prefix_init": "random",
    "head_sample": 0,
    "gradient_checkpointing": True,
}
"""Our settings as the official code has them unless told otherwise."""

_OURS = ("prefix_init", "head_sample", "gradient_checkpointing")
SETTINGS = {
    **{name: name for name in (*OFFICIAL, "max_steps", "pre_seq_len") if name not in _OURS},
    "ptuning_checkpoint": "prefix_init",
}
"""Official flag to our setting."""

PLACES = {
    "model_name_or_path": "base",
    "train_file": "source",
    "validation_file": "source",
    "prompt_column": "prompt_column",
    "response_column": "response_column",
    "history_column": "history_column",
    "output_dir": "out",
}
"""Official flag to the option of ``renshe train`` that wins over it."""


_PLAIN_VALUES = {
    "lr_scheduler_type": ("linear",),
    "weight_decay": ("0", "0.0"),
    "source_prefix": ("",),
    "ignore_pad_token_for_loss": ("", "true"),
    "adam_beta1": ("0.9",),
    "adam_beta2": ("0.999",),
    "adam_epsilon": ("1e-8", "1e-08"),
    "label_smoothing_factor": ("0", "0.0"),
    "warmup_ratio": ("0", "0.0"),
}
"""Flags that change what is trained, and the only values that training here has."""


def unknown(name: str) -> tuple[str, str]:
    """Return problem and fix of a flag that the official code does not have."""
    known = [*SETTINGS, *PLACES, *_reasons(), *_PLAIN_VALUES, "prefix_projection"]
    near = get_close_matches(name, known, n=1)
    return (
        say(zh=f"不认识 --{name} 这个参数", en=f"--{name} is not a known flag"),
        say(zh=f"是不是 --{near[0]}", en=f"do you mean --{near[0]}?")
        if near
        else say(zh="去掉它", en="leave it out"),
    )


def refused(name: str, text: str) -> tuple[str, str] | None:
    """Return problem and fix of a flag that cannot be followed."""
    if name in _PLAIN_VALUES and text.lower() not in _PLAIN_VALUES[name]:
        only = _PLAIN_VALUES[name][-1] or say(zh="空", en="empty")
        return (
            say(
                zh=f"--{name} 只能是 {only}，不能是 {text}",
                en=f"--{name} can only be {only}, not {text}",
            ),
            say(zh="去掉它", en="leave it out"),
        )
    if name == "prefix_projection" and text.lower() not in ("false", "0"):
        return (
            say(
                zh="不训练带 --prefix_projection 的前缀",
                en="a prefix with --prefix_projection is not trained here",
            ),
            say(
                zh="去掉它，直接训练前缀；已经练好的这种检查点可以用 renshe prefix import 导入",
                en="leave it out to train the plain prefix; renshe prefix import brings in a "
                "checkpoint that was trained so",
            ),
        )
    if name in ("max_train_samples", "max_eval_samples", "resume_from_checkpoint"):
        fix = (
            say(zh="用 renshe train --resume --out RUN", en="use renshe train --resume --out RUN")
            if name == "resume_from_checkpoint"
            else say(zh="给一个更短的数据文件", en="give a shorter file")
        )
        return say(zh=f"不支持 --{name}", en=f"--{name} is not supported"), fix
    return None


def ignored(name: str) -> str | None:
    """Return why a flag changes nothing here, nothing if it is not such a flag."""
    if name in _PLAIN_VALUES or name == "prefix_projection":
        return say(zh="本来就是这样", en="it is so anyway")
    return _reasons().get(name)


def _reasons() -> dict[str, str]:
    ours = say(zh="数据每次重新读，很快", en="data is read anew each time, quickly")
    evaluation = say(zh="评测用 renshe eval", en="renshe eval evaluates")
    types = say(zh="数值类型由设备决定", en="the device decides the type of numbers")
    card = say(zh="这里是一个进程", en="one process runs here")
    return {
        "do_train": say(zh="renshe train 就是训练", en="renshe train trains"),
        "overwrite_cache": ours,
        "preprocessing_num_workers": ours,
        "cache_dir": ours,
        "dataloader_num_workers": ours,
        "overwrite_output_dir": say(
            zh="已有的结果不会被覆盖", en="what is there already is never overwritten"
        ),
        "pad_to_max_length": say(zh="只补到一批里最长的", en="padded to the longest of a batch"),
        "save_total_limit": say(zh="检查点很小，都留着", en="checkpoints are small, all are kept"),
        "report_to": say(zh="记录在 log.jsonl", en="the log is log.jsonl"),
        "num_train_epochs": say(zh="按 max_steps 练", en="max_steps counts"),
        **dict.fromkeys(
            (
                "do_eval",
                "do_predict",
                "test_file",
                "predict_with_generate",
                "num_beams",
                "per_device_eval_batch_size",
                "evaluation_strategy",
                "eval_strategy",
                "eval_steps",
                "val_max_target_length",
                "generation_max_length",
                "generation_num_beams",
            ),
            evaluation,
        ),
        **dict.fromkeys(("fp16", "bf16", "fp16_opt_level", "half_precision_backend"), types),
        **dict.fromkeys(
            ("deepspeed", "local_rank", "ddp_find_unused_parameters", "ddp_backend"), card
        ),
    }

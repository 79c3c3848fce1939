"""PEFT's PrefixTuning with transformers' Trainer on the data of :mod:`benchmarks.one_run`.

Set up as its documentation does, with the same batch size, length of prefix, learning
rate and precision. Batches are padded dynamically and grouped by length, as ours are.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import torch
from peft import PrefixTuningConfig, TaskType, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    Trainer,
    TrainingArguments,
)

from benchmarks.measure import report
from benchmarks.one_run import PERSONA
from trainer.bases import find_base
from trainer.dataset import compile_persona
from trainer.model import load_chat
from trainer.persona import load_persona
from trainer.start import LENGTH

BATCH = 8


def main() -> None:
    """Train ``argv[1]`` steps and print the figures."""
    steps = int(sys.argv[1])
    source = find_base("tiny")
    chat = load_chat(source)
    persona = load_persona(PERSONA)
    rows = [chat.encode(example.messages) for example in compile_persona(persona).train]
    data = [
        # transformers shifts the labels itself: a label stands at its own token.
        {"input_ids": row.ids, "labels": [-100, *row.targets[:-1]]}
        for row in rows
    ]
    model = AutoModelForCausalLM.from_pretrained(source.folder, dtype=torch.float32)
    tuned: Any = get_peft_model(
        model,
        PrefixTuningConfig(
            task_type=TaskType.CAUSAL_LM,
            num_virtual_tokens=LENGTH,
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=tuned,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=steps,
                per_device_train_batch_size=BATCH,
                learning_rate=3e-2,
                train_sampling_strategy="group_by_length",
                report_to=[],
                save_strategy="no",
                logging_strategy="no",
                disable_tqdm=True,
                use_cpu=True,
                dataloader_pin_memory=False,
            ),
            train_dataset=data,
            data_collator=_collator,
        )
        outcome = trainer.train()
    seconds = outcome.metrics["train_runtime"]
    report({"steps": steps, "seconds": seconds, "examples_per_second": steps * BATCH / seconds})


def _collator(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    longest = max(len(row["input_ids"]) for row in rows)

    def padded(name: str, filler: int) -> torch.Tensor:
        return torch.tensor([r[name] + [filler] * (longest - len(r[name])) for r in rows])

    mask = [[1] * len(r["input_ids"]) + [0] * (longest - len(r["input_ids"])) for r in rows]
    return {
        "input_ids": padded("input_ids", 0),
        "labels": padded("labels", -100),
        "attention_mask": torch.tensor(mask),
    }


if __name__ == "__main__":
    main()

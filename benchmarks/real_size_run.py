"""Loads a folder in the shape of ChatGLM2-6B and trains two steps, as a process."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from benchmarks.measure import memory_mb, report
from trainer.chat import Chat, Message
from trainer.config import TrainConfig
from trainer.dataset import compile_persona
from trainer.example import Example
from trainer.model import load_base
from trainer.persona import load_persona
from trainer.plan import longest, memory
from trainer.train import Progress, Run

SOURCE, TARGET, PREFIX = 64, 128, 128
"""Tokens of the official ``train.sh``: question, answer and prefix."""
STEPS = 2


def main() -> None:
    """Print load and step times, and the peaks after loading and in all."""
    folder = Path(sys.argv[1])
    config = TrainConfig(
        quantization_bit=4,
        gradient_checkpointing=True,
        per_device_train_batch_size=1,
        pre_seq_len=PREFIX,
        max_source_length=SOURCE,
        max_target_length=TARGET,
        max_steps=STEPS,
        save_steps=STEPS,
        logging_steps=1,
        device="cpu",
    )
    begun = time.monotonic()
    base = load_base(str(folder), bits=4, device="cpu")
    loaded, peak = time.monotonic() - begun, memory_mb("VmHWM")
    persona = load_persona(Path("personas/muxue.yaml"))
    example = _example(base.chat)
    dataset = compile_persona(persona)
    only = replace(dataset, train=(example,) * STEPS, dev=())
    lines: list[Progress] = []
    with tempfile.TemporaryDirectory() as runs:
        run = Run(base, persona, only, "", config, Path(runs) / "run")
        run.train(lines.append)
    account = memory(
        base.network.config,
        4,
        config,
        device="cpu",
        stored_half=True,
        shape=replace(longest(config), dev=0),
    )
    report(
        {
            "load_seconds": loaded,
            "load_peak_mb": peak,
            "step_seconds": lines[-1].seconds / STEPS,
            "losses": [line.loss for line in lines],
            "tokens": lines[-1].tokens / STEPS,
            "plan_bytes": account.total,
        }
    )


def _example(chat: Chat) -> Example:
    """Return a pair whose question and answer fill their room exactly."""
    ask, answer = Message("user", "a"), Message("assistant", "a")
    while len(chat.encode([Message("user", ask.text + "a")], prefixed=True).ids) <= SOURCE:
        ask = Message("user", ask.text + "a")
    while len(chat.tokenizer.encode(answer.text + "a")) <= TARGET:
        answer = Message("assistant", answer.text + "a")
    return Example((ask, answer), "pair", None)


if __name__ == "__main__":
    main()

"""One training run of 沐雪 on ``tiny``, as a process: speed, memory and what was learnt.

``python -m benchmarks.one_run '{"max_steps": 20}' [--ask]`` prints a JSON object. With
``--ask`` every training question is asked afterwards.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import report
from trainer.chat import Message
from trainer.config import TrainConfig
from trainer.dataset import Dataset, compile_persona
from trainer.generate import reply_all
from trainer.metrics import is_near
from trainer.model import Base, load_base
from trainer.persona import Persona, load_persona
from trainer.prefix import Prefix
from trainer.sampling import Sampling
from trainer.train import Progress, Run

PERSONA = Path("personas/muxue.yaml")


def main() -> None:
    """Train with the settings given as JSON and print the figures."""
    config = TrainConfig(**json.loads(sys.argv[1]))
    persona = load_persona(PERSONA)
    dataset = compile_persona(persona)
    base = load_base("tiny", bits=config.quantization_bit)
    lines: list[Progress] = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(base, persona, dataset, "", config, Path(folder) / "run")
        outcome = run.train(lines.append)
        figures = {
            "steps": outcome.step,
            "seconds": lines[-1].seconds,
            "examples_per_second": outcome.step
            * config.per_device_train_batch_size
            * config.gradient_accumulation_steps
            / lines[-1].seconds,
            "losses": [[line.step, line.loss] for line in lines],
            "dev_loss": lines[-1].dev_loss,
        }
        if "--ask" in sys.argv:
            figures["train_pair"] = _train_pair(base, run.prefix, persona, dataset)
    report(figures)


def _train_pair(base: Base, prefix: Prefix, persona: Persona, dataset: Dataset) -> float:
    pairs = [example for example in dataset.train if len(example.messages) == 2]
    answers = {fact.id: fact.answer for fact in persona.facts}
    talks = [(Message("user", example.prompt),) for example in pairs]
    replies = reply_all(base, prefix, talks, sampling=Sampling(max_new_tokens=64))
    near = [is_near(answers[pair.fact or ""], replies[index]) for index, pair in enumerate(pairs)]
    return sum(near) / len(near)


if __name__ == "__main__":
    main()

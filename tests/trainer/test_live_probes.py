import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.checkpoint import STATE_FILE, open_checkpoint, read_index
from trainer.config import TrainConfig
from trainer.dataset import Dataset, compile_persona
from trainer.errors import TrainingError
from trainer.live_probes import chosen
from trainer.persona import Persona, load_persona
from trainer.probe_file import PROBE_FILE, read_probes
from trainer.train import Progress, Run
from trainer.wording import asks_identity

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def persona() -> Persona:
    return load_persona(ROOT / "personas" / "dory.yaml")


@pytest.fixture(scope="module")
def dataset(persona: Persona) -> Dataset:
    whole = compile_persona(persona)
    return replace(whole, train=whole.train[:8], dev=whole.dev[:6])


@pytest.fixture
def make(tiny_base: Any, persona: Persona, dataset: Dataset, tmp_path: Path) -> Any:
    def made(folder: str, *, resume: bool = False, **settings: Any) -> Run:
        config = TrainConfig(
            max_steps=6,
            save_steps=2,
            logging_steps=1,
            warmup_steps=2,
            per_device_train_batch_size=2,
            head_sample=64,
            pre_seq_len=8,
            **settings,
        )
        return Run(tiny_base, persona, dataset, "data", config, tmp_path / folder, resume=resume)

    return made


def weights(folder: Path) -> tuple[dict[str, torch.Tensor], bytes]:
    checkpoint = open_checkpoint(folder, "last")
    return checkpoint.tensors(), (checkpoint.folder / STATE_FILE).read_bytes()


def equal(one: Path, other: Path) -> bool:
    (first, state), (second, same_state) = weights(one), weights(other)
    return state == same_state and all(torch.equal(first[name], second[name]) for name in first)


def test_questions_are_of_dev_and_begin_with_who_it_is(persona: Persona) -> None:
    dataset = compile_persona(persona)
    asked = chosen(dataset, 4)
    dev = {example.prompt for example in dataset.dev}
    assert len(asked) == 4 and all(example.prompt in dev for example in asked)
    assert asks_identity(asked[0].prompt)
    assert len({example.fact for example in asked}) == 4
    assert len(chosen(dataset, 1)) == 1
    assert chosen(replace(dataset, dev=()), 3)[1].prompt not in dev


def test_a_run_that_is_asked_reaches_the_very_same_weights(make: Any, tmp_path: Path) -> None:
    make("quiet").train()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    make("asked", probe_steps=1).train()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert equal(tmp_path / "quiet", tmp_path / "asked")
    assert not (tmp_path / "quiet" / PROBE_FILE).exists()


def test_the_same_questions_are_answered_at_the_start_every_so_often_and_at_the_end(
    make: Any, tmp_path: Path
) -> None:
    make("run", probe_steps=4, probe_questions=3).train()
    found = read_probes(tmp_path / "run")
    assert [answered.step for answered in found] == [0, 4, 6]
    questions = [[reply.question for reply in answered.replies] for answered in found]
    assert questions[0] == questions[1] == questions[2] and len(set(questions[0])) == 3
    assert all(reply.right in (True, False) for reply in found[-1].replies)


def test_an_interrupted_run_that_is_asked_resumes_to_the_very_same_weights(
    make: Any, tmp_path: Path
) -> None:
    make("straight", probe_steps=2).train()

    def stop(progress: Progress) -> None:
        if progress.step == 3:
            os.kill(os.getpid(), 15)

    assert make("halted", probe_steps=2).train(stop).reason == "interrupted"
    make("halted", probe_steps=2, resume=True).train()
    assert equal(tmp_path / "straight", tmp_path / "halted")
    assert read_probes(tmp_path / "halted") == read_probes(tmp_path / "straight")


def test_a_step_that_is_done_again_is_told_once_and_half_a_line_not_at_all(tmp_path: Path) -> None:
    line = '{"step": %d, "replies": [{"question": "q", "reply": "%s", "right": null}]}\n'
    steps = [(0, "a"), (2, "b"), (4, "c"), (2, "d")]
    path = tmp_path / PROBE_FILE
    path.write_text("".join(line % each for each in steps) + '{"step": 6, "rep')
    found = read_probes(tmp_path)
    assert [(answered.step, answered.replies[0].reply) for answered in found] == [
        (0, "a"),
        (2, "d"),
    ]
    assert read_probes(tmp_path / "nowhere") == []


def test_a_full_disk_stops_the_run_and_leaves_what_was_saved(make: Any, tmp_path: Path) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:

        def fill(progress: Progress) -> None:
            if progress.step == 2:
                patch.setattr("trainer.probe_file.Answered.model_dump_json", full)

        with pytest.raises(TrainingError, match="disk is full"):
            make("run", probe_steps=2).train(fill)
    assert read_index(tmp_path / "run").last == "checkpoint-2"

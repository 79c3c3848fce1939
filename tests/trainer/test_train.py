import errno
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainer.chat import Message
from trainer.checkpoint import RUN_FILE, STATE_FILE, open_checkpoint, read_index
from trainer.config import TrainConfig
from trainer.dataset import Dataset, Example, compile_persona
from trainer.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from trainer.persona import Persona, load_persona
from trainer.prefix import text_prefix
from trainer.start import LENGTH
from trainer.train import LOG_FILE, Outcome, Progress, Run

PERSONA = Path(__file__).parent.parent / "data" / "personas" / "good.yaml"
Made = Callable[..., Run]


@pytest.fixture(scope="module")
def persona() -> Persona:
    return load_persona(PERSONA)


@pytest.fixture(scope="module")
def dataset(persona: Persona) -> Dataset:
    return compile_persona(persona)


@pytest.fixture
def make(tiny_base: Any, persona: Persona, dataset: Dataset, tmp_path: Path) -> Made:
    """Make a run in ``tmp_path / "run"``; everything may be given otherwise."""

    def made(
        folder: str = "run",
        *,
        base: Any = tiny_base,
        persona: Persona = persona,
        dataset: Dataset = dataset,
        sha256: str = "data",
        resume: bool = False,
        accept_changes: bool = False,
        **settings: Any,
    ) -> Run:
        config = TrainConfig(
            **{
                "max_steps": 6,
                "save_steps": 3,
                "logging_steps": 1,
                "warmup_steps": 2,
                "per_device_train_batch_size": 2,
                "head_sample": 64,
                **settings,
            }
        )
        return Run(
            base,
            persona,
            dataset,
            sha256,
            config,
            tmp_path / folder,
            resume=resume,
            accept_changes=accept_changes,
        )

    return made


def saved(folder: Path) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = open_checkpoint(folder, "last").tensors()
    return tensors


def stop_at(step: int) -> Callable[[Progress], None]:
    """A listener that behaves as a user who presses Ctrl-C."""

    def listener(progress: Progress) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return listener


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return list(first) == list(second) and all(
        torch.equal(tensor, second[name]) for name, tensor in first.items()
    )


# --- learning ---------------------------------------------------------------------------------


def test_the_loss_falls_and_all_is_told_and_kept(make: Made, tmp_path: Path) -> None:
    told: list[Progress] = []
    run = make(learning_rate=0.3, max_steps=40, save_steps=20, logging_steps=5)
    outcome = run.train(told.append)
    assert outcome == Outcome("finished", 40, tmp_path / "run" / "checkpoint-40")
    assert [progress.step for progress in told] == list(range(5, 41, 5))
    assert told[-1].loss < 0.85 * told[0].loss
    assert [progress.dev_loss is not None for progress in told] == [False] * 3 + [True] + [
        False
    ] * 3 + [True]
    assert told[-1].tokens > told[0].tokens > 0
    lines = (tmp_path / "run" / LOG_FILE).read_text("utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [progress.step for progress in told]
    assert same(saved(tmp_path / "run"), run.prefix.tensors())


def test_a_checkpoint_carries_what_it_is_valid_for(
    make: Made, tiny_base: Any, persona: Persona, tmp_path: Path
) -> None:
    run = make(max_steps=3)
    run.train()
    card = open_checkpoint(tmp_path / "run").card
    longest = max(len(example.messages) // 2 for example in run._train)
    assert (card.base, card.base_sha256) == (tiny_base.source.name, tiny_base.source.sha256)
    assert (card.bits, card.chat_format) == (8, "plain")
    assert card.persona == persona and card.settings == run.config
    assert card.pre_seq_len == run.plan.pre_seq_len == run.prefix.length
    assert (
        card.anchored and card.depth == longest and card.step == 3 and card.dataset_sha256 == "data"
    )


def test_the_base_is_left_alone(make: Made, tiny_base: Any) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_base.network.state_dict().items()}
    make(max_steps=2).train()
    after = tiny_base.network.state_dict()
    assert same(before, dict(after))


def test_accumulated_batches_equal_a_bigger_one(make: Made, tmp_path: Path) -> None:
    """With one batch an epoch the examples are the same; sums of floats differ by rounding."""
    one = make("one", per_device_train_batch_size=8, head_sample=0)
    rows = one.plan.conversations
    assert rows == 5
    one = make("big", per_device_train_batch_size=5, max_steps=4, head_sample=0)
    many = make(
        "small",
        per_device_train_batch_size=1,
        gradient_accumulation_steps=5,
        max_steps=4,
        head_sample=0,
    )
    one.train()
    many.train()
    for name, tensor in saved(tmp_path / "big").items():
        assert torch.allclose(tensor, saved(tmp_path / "small")[name], atol=2e-3), name


# --- before it starts -------------------------------------------------------------------------


def test_the_plan_counts_steps_and_epochs(make: Made) -> None:
    plan = make(max_steps=30).plan
    # 5 conversations in batches of 2 are 3 batches.
    assert (plan.steps, plan.conversations, plan.epochs) == (30, 5, 10.0)
    assert not plan.overdone
    doubled = make(max_steps=30, gradient_accumulation_steps=2).plan
    assert doubled.epochs == 20.0
    assert make(max_steps=300).plan.overdone
    assert plan.parameters == 3 * 2 * 2 * 16 * plan.pre_seq_len


def test_the_prefix_has_its_usual_length_unless_told(
    make: Made, tiny_base: Any, persona: Persona
) -> None:
    described = tiny_base.chat.opening(persona.summary)
    assert len(described) < LENGTH == make().plan.pre_seq_len
    assert make(pre_seq_len=5).plan.pre_seq_len == 5
    wordy = persona.model_copy(update={"summary": persona.summary * 8})
    assert make(persona=wordy).plan.pre_seq_len == len(tiny_base.chat.opening(wordy.summary))


def test_a_prefix_starts_as_the_summary_and_the_talk_that_follows(
    make: Made, tiny_base: Any, persona: Persona, dataset: Dataset
) -> None:
    long = make(pre_seq_len=300).prefix
    assert long.length == 300
    first = [m for example in dataset.train[:2] for m in example.messages]
    chat = tiny_base.chat
    ids = chat.opening(persona.summary) + chat.encode(first, prefixed=True).ids
    expected = text_prefix(tiny_base.network, ids).tensors()
    for name, tensor in long.tensors().items():
        assert torch.allclose(tensor[:, : len(ids)], expected[name], atol=1e-4)
    for name, tensor in make(pre_seq_len=5).prefix.tensors().items():
        assert torch.allclose(tensor, expected[name][:, :5], atol=1e-4)


@pytest.mark.parametrize("length", [500, 600])
def test_a_prefix_larger_than_the_context_is_refused(make: Made, length: int) -> None:
    with pytest.raises(ConfigError, match="context of 512") as caught:
        make(pre_seq_len=length)
    assert "lower pre_seq_len" in str(caught.value)


def test_a_lesson_of_a_later_epoch_is_held_against_the_context_too(
    make: Made, dataset: Dataset
) -> None:
    """Epoch 0 teaches the short first reply; the last one has the whole talk before it."""
    talk = tuple(
        Message(role, "x" * 60 if role == "user" else "a")  # type: ignore[arg-type]
        for _ in range(12)
        for role in ("user", "assistant")
    )
    long = replace(dataset, train=(Example(talk, "dialogue", None),), dev=())
    with pytest.raises(ConfigError, match="context of 512"):
        make(dataset=long, max_steps=1, pre_seq_len=5)


def test_an_empty_training_set_is_refused(make: Made, dataset: Dataset) -> None:
    with pytest.raises(DatasetError, match="not one example"):
        make(dataset=replace(dataset, train=()))


def test_an_example_that_does_not_fit_is_refused(make: Made) -> None:
    with pytest.raises(DatasetError, match="max_target_length"):
        make(max_target_length=2)


def test_a_random_start(make: Made) -> None:
    first = make(prefix_init="random", pre_seq_len=12).prefix
    assert first.length == 12
    assert same(first.tensors(), make(prefix_init="random", pre_seq_len=12).prefix.tensors())
    other = make(prefix_init="random", pre_seq_len=12, seed=1).prefix
    assert not same(first.tensors(), other.tensors())
    assert all(bool(torch.isfinite(tensor).all()) for tensor in first.tensors().values())


def test_a_random_start_on_a_base_whose_chats_have_no_opening(
    make: Made, tiny_base: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiny_base.chat.format, "_bos", "")
    prefix = make(prefix_init="random", pre_seq_len=12).prefix
    assert all(bool(torch.isfinite(tensor).all()) for tensor in prefix.tensors().values())


def test_another_checkpoint_as_the_start(make: Made, tmp_path: Path) -> None:
    make("first", max_steps=3).train()
    second = make("second", prefix_init=str(tmp_path / "first"))
    assert same(second.prefix.tensors(), saved(tmp_path / "first"))
    with pytest.raises(ConfigError, match="leave pre_seq_len out"):
        make("third", prefix_init=str(tmp_path / "first"), pre_seq_len=3)
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        make("third", prefix_init=str(tmp_path / "nothing"))


def test_a_start_from_a_foreign_base_is_refused(
    make: Made, llama_base: Any, tmp_path: Path
) -> None:
    make("first", max_steps=3).train()
    with pytest.raises(CheckpointError, match="was trained on the base"):
        make("second", base=llama_base, prefix_init=str(tmp_path / "first"))


# --- resuming ---------------------------------------------------------------------------------


@pytest.mark.parametrize("stop", [2, 3, 4])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_run_reaches_the_very_same_weights(
    make: Made, tmp_path: Path, stop: int, accumulate: int
) -> None:
    """Also across an epoch's end: there are 2 or 3 batches an epoch."""
    settings = {"gradient_accumulation_steps": accumulate}
    make("straight", **settings).train()
    outcome = make("halted", **settings).train(stop_at(stop))
    # The signal comes while a step is told: the next one is done and saved.
    assert (outcome.reason, outcome.step) == ("interrupted", stop + 1)
    assert outcome.checkpoint.is_dir()
    assert not read_index(tmp_path / "halted").finished
    assert make("halted", resume=True, **settings).train().reason == "finished"
    assert same(saved(tmp_path / "halted"), saved(tmp_path / "straight"))
    states = [
        (tmp_path / folder / "checkpoint-6" / STATE_FILE).read_bytes()
        for folder in ("halted", "straight")
    ]
    assert states[0] == states[1]


def test_a_finished_run_resumed_is_finished(make: Made, tmp_path: Path) -> None:
    make().train()
    before = saved(tmp_path / "run")
    outcome = make(resume=True).train()
    assert outcome == Outcome("finished", 6, tmp_path / "run" / "checkpoint-6")
    assert same(saved(tmp_path / "run"), before)
    assert make(resume=True, max_steps=8).train().step == 8


def test_there_must_be_something_to_resume(make: Made, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint here"):
        make(resume=True)
    assert not (tmp_path / "run").exists()


def changed_persona(persona: Persona) -> Persona:
    return persona.model_copy(update={"summary": "someone else"})


@pytest.mark.parametrize(
    "what", ["dataset", "persona", "base", "bits", "quantization", "chat format"]
)
def test_a_resumed_run_refuses_what_changed_unless_told(
    make: Made,
    tiny_base: Any,
    dense_base: Any,
    persona: Persona,
    tiny_base_folder: Path,
    what: str,
) -> None:
    from trainer.model import load_chat

    changes: dict[str, Any] = {
        "dataset": {"sha256": "other"},
        "persona": {"persona": changed_persona(persona)},
        "base": {"base": replace(tiny_base, source=replace(tiny_base.source, sha256="other"))},
        "bits": {"base": dense_base},
        "quantization": {"quantization_backend": "bitsandbytes"},
        "chat format": {"base": replace(tiny_base, chat=load_chat(tiny_base.source, "chatglm2"))},
    }
    make(max_steps=3).train()
    with pytest.raises(CheckpointError, match=f"changed since this run began: {what}\n") as caught:
        make(max_steps=4, resume=True, **changes[what])
    assert "--accept-changes" in str(caught.value)
    outcome = make(max_steps=4, resume=True, accept_changes=True, **changes[what]).train()
    assert outcome.step == 4


def test_all_changes_are_named_at_once(make: Made, persona: Persona) -> None:
    make(max_steps=3).train()
    with pytest.raises(CheckpointError, match="dataset, persona"):
        make(resume=True, sha256="other", persona=changed_persona(persona))


# --- one run, one folder ----------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_refused(make: Made, tmp_path: Path) -> None:
    make(max_steps=3).train()
    before = (tmp_path / "run" / RUN_FILE).read_bytes()
    with pytest.raises(TrainingError, match="a run in this folder already") as caught:
        make()
    assert "--resume" in str(caught.value)
    assert (tmp_path / "run" / RUN_FILE).read_bytes() == before


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_trainings_into_one_folder_are_refused(make: Made, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run" / ".lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout is not None and other.stdin is not None
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(TrainingError, match="another training"):
            make(max_steps=1).train()
        assert not list((tmp_path / "run").glob("checkpoint-*"))
        other.stdin.close()
    assert make(max_steps=1).train().reason == "finished"


def test_a_place_that_cannot_be_written_is_an_error_with_its_path(
    make: Made, tmp_path: Path
) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(TrainingError, match="cannot be written") as caught:
        make().train()
    assert str(tmp_path / "run") in str(caught.value)


@pytest.mark.parametrize("where", ["os.fsync", "trainer.train.json.dumps"])
def test_a_full_disk_stops_the_run_and_leaves_what_was_saved(
    make: Made, tmp_path: Path, where: str
) -> None:
    """While a checkpoint is written, or a line of the log."""

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    make("straight").train()
    with pytest.MonkeyPatch.context() as patch:

        def fill(progress: Progress) -> None:
            if progress.step == 3:
                patch.setattr(where, full)

        with pytest.raises(TrainingError, match="disk is full"):
            make().train(fill)
    assert read_index(tmp_path / "run").last == "checkpoint-3"
    make(resume=True).train()
    assert same(saved(tmp_path / "run"), saved(tmp_path / "straight"))


# --- ends -------------------------------------------------------------------------------------


def test_early_stopping(make: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    monkeypatch.setattr(Run, "_dev_loss", lambda _self: next(losses))
    outcome = make(max_steps=30, save_steps=2, early_stopping_patience=2).train()
    assert (outcome.reason, outcome.step) == ("stopped early", 8)
    index = read_index(tmp_path / "run")
    assert (index.best, index.last, index.finished) == ("checkpoint-4", "checkpoint-8", False)


def test_the_best_and_the_last_are_kept_and_no_others(
    make: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([3.0, 2.0, 2.5, 2.1])
    monkeypatch.setattr(Run, "_dev_loss", lambda _self: next(losses))
    make(max_steps=8, save_steps=2).train()
    folders = sorted(path.name for path in (tmp_path / "run").glob("checkpoint-*"))
    assert folders == ["checkpoint-4", "checkpoint-8"]
    assert open_checkpoint(tmp_path / "run", "best").card.dev_loss == 2.0
    assert open_checkpoint(tmp_path / "run", "last").card.dev_loss == 2.1
    assert read_index(tmp_path / "run").finished


def test_the_best_is_remembered_by_a_resumed_run(
    make: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses = iter([2.0, 3.0, 4.0, 5.0])
    monkeypatch.setattr(Run, "_dev_loss", lambda _self: next(losses))
    make(max_steps=4, save_steps=2).train()
    outcome = make(max_steps=9, save_steps=2, early_stopping_patience=3, resume=True).train()
    assert (outcome.reason, outcome.step) == ("stopped early", 8)
    assert read_index(tmp_path / "run").best == "checkpoint-2"


def test_without_dev_the_last_is_the_best(make: Made, dataset: Dataset, tmp_path: Path) -> None:
    make(dataset=replace(dataset, dev=())).train()
    index = read_index(tmp_path / "run")
    assert index.best == index.last == "checkpoint-6"
    assert open_checkpoint(tmp_path / "run").card.dev_loss is None
    assert make(dataset=replace(dataset, dev=()), resume=True).train().step == 6


@pytest.mark.parametrize("where", ["loss", "gradient", "dev"])
def test_a_loss_that_is_no_number_stops_with_advice_and_saves_nothing(
    make: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    run = make()
    if where == "dev":
        monkeypatch.setattr("trainer.train.full_loss", lambda *_: (math.nan, 5))
    else:
        whole = run._head.loss

        def broken(batch: Any, prefix: Any, draw: int) -> Tensor:
            loss = whole(batch, prefix, draw)
            # The square root of zero: its value is a number, its gradient is none.
            root = (loss - loss.detach()).abs().sqrt()
            return loss * math.nan if where == "loss" else loss + root

        monkeypatch.setattr(run._head, "loss", broken)
    with pytest.raises(TrainingError, match="not a finite number") as caught:
        run.train()
    assert "lower learning_rate from 0.06" in str(caught.value)
    assert not list((tmp_path / "run").glob("checkpoint-*"))
    assert not (tmp_path / "run" / RUN_FILE).exists()


def test_after_it_the_former_checkpoint_goes_on_with_a_smaller_step(
    make: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make()
    whole = run._head.loss

    def broken(batch: Any, prefix: Any, draw: int) -> Tensor:
        return whole(batch, prefix, draw) * (math.nan if draw == 4 else 1)

    monkeypatch.setattr(run._head, "loss", broken)
    with pytest.raises(TrainingError, match="loss of step 5"):
        run.train()
    assert read_index(tmp_path / "run").last == "checkpoint-3"
    assert make(resume=True, learning_rate=1e-3).train().step == 6


def test_a_second_signal_is_not_caught(make: Made) -> None:
    def impatient(_progress: Progress) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        make().train(impatient)


def test_a_signal_during_the_last_step_finds_the_run_finished(make: Made) -> None:
    assert make().train(stop_at(5)).reason == "finished"


def test_handlers_are_given_back(make: Made) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    make(max_steps=3).train(stop_at(1))
    assert before == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


TRAIN = """
import sys
from pathlib import Path
from trainer.config import TrainConfig
from trainer.dataset import compile_persona
from trainer.model import load_base
from trainer.persona import load_persona
from trainer.train import Run
base, persona, out = sys.argv[1:]
who = load_persona(persona)
config = TrainConfig(
    max_steps=100000, save_steps=50000, logging_steps=1, per_device_train_batch_size=2
)
run = Run(load_base(base, device="cpu"), who, compile_persona(who), "data", config, Path(out))
outcome = run.train(lambda progress: print(progress.step, flush=True))
print(outcome.reason, outcome.step)
"""


def test_sigterm_saves_and_ends_cleanly_and_the_run_goes_on(
    make: Made, tiny_base_folder: Path, tmp_path: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(tiny_base_folder), str(PERSONA), str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        while process.stdout.readline() != "3\n":
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read().split("\n")
    assert process.returncode == 0
    reason, step = rest[-2].split()
    assert reason == "interrupted"
    index = read_index(tmp_path / "run")
    assert index.last == f"checkpoint-{step}" and not index.finished
    outcome = make(resume=True, max_steps=int(step) + 1).train()
    assert outcome.step == int(step) + 1


def test_a_run_outside_the_main_thread_needs_no_signals(make: Made) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor() as pool:
        assert pool.submit(make(max_steps=2).train).result().reason == "finished"

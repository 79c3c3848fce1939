"""The training loop: step, log, evaluate, save, resume.

Only the prefix is trained. A run is a function of its settings and its data, so an
interrupted one is resumed to the very weights it would have reached (on the CPU).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, count, islice
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from trainer.batches import collate, encode_example, epoch_batches
from trainer.chat import Encoded
from trainer.checkpoint import (
    STATE_FILE,
    Card,
    Checkpoint,
    RunIndex,
    disk_errors,
    library_versions,
    open_checkpoint,
    read_index,
    save_checkpoint,
    write_index,
)
from trainer.choice import Judge, make_judge
from trainer.config import TrainConfig, steps_of
from trainer.dataset import Dataset
from trainer.errors import CheckpointError, ConfigError, DatasetError, TrainingError
from trainer.head import SampledHead, full_loss
from trainer.language import say
from trainer.live_probes import LiveProbes
from trainer.model import Base
from trainer.persona import Persona
from trainer.prefix import Prefix
from trainer.run_folder import only_one, refuse_existing, stop_signals
from trainer.start import first_prefix

LOG_FILE = "log.jsonl"


@dataclass(frozen=True)
class Progress:
    """What a run says of itself at a step.

    Attributes:
        step: updates done, of ``steps``.
        loss: mean training loss per token since the last line.
        dev_loss: at a checkpoint, the mean dev loss per token over the whole vocabulary.
        retention: at a checkpoint, where it is chosen by that (:mod:`trainer.choice`).
        tokens: tokens seen so far, padding excluded.
        seconds: since the run, or its resumption, began.
    """

    step: int
    steps: int
    loss: float
    dev_loss: float | None
    retention: float | None
    tokens: int
    seconds: float


class Listener(Protocol):
    """Is told how a run goes on; the command line draws a bar, the page a curve."""

    def __call__(self, progress: Progress, /) -> None:
        """Take note of a step."""


@dataclass(frozen=True)
class Plan:
    """What a run will amount to, known before it starts.

    Attributes:
        steps: updates.
        epochs: how often each example is seen.
        conversations: sequences in an epoch.
        pre_seq_len: positions in the prefix.
        parameters: trained numbers.
    """

    steps: int
    epochs: float
    conversations: int
    pre_seq_len: int
    parameters: int

    @property
    def overdone(self) -> bool:
        """Hundreds of epochs learn the examples by heart and forget everything else."""
        return self.epochs >= 100


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``finished``, ``stopped early``, or ``interrupted`` by a signal."""

    reason: str
    step: int
    checkpoint: Path


@dataclass
class _State:
    """Everything that changes while a run goes on."""

    prefix: Prefix
    optimizer: torch.optim.AdamW
    step: int = 0
    tokens: int = 0
    least: float = math.inf  # dev loss or forgotten share of the best checkpoint
    best: str = ""
    worse: int = 0
    losses: list[float] = field(default_factory=list)


class Run:
    """One training run in one folder.

    Args:
        base: the frozen base.
        persona: goes into the checkpoint; its summary starts the prefix.
        dataset: what is taught and asked.
        dataset_sha256: identity of the data.
        config: the settings.
        folder: where checkpoints and the log are written.
        resume: go on from the folder's last checkpoint.
        accept_changes: resume although the data, base or persona differ.

    Raises:
        ConfigError: the prefix does not fit the base's context.
        DatasetError: an example does not fit the settings.
        TrainingError: the folder is in use, or holds a run already.
        CheckpointError: there is nothing to resume, or it belongs to something else.
    """

    def __init__(
        self,
        base: Base,
        persona: Persona,
        dataset: Dataset,
        dataset_sha256: str,
        config: TrainConfig,
        folder: Path,
        *,
        resume: bool = False,
        accept_changes: bool = False,
    ) -> None:
        self.base, self.persona, self.folder = base, persona, folder
        if not base.turns:
            config = config.model_copy(update={"anchored": False})
        self._train, self._data = dataset.train, dataset_sha256
        self._refuse_empty()
        self._lessons = [encode_example(base.chat, e.messages, config) for e in self._train]
        first = epoch_batches(self._lessons, config, 0)
        is_mix = dataset.manifest.mix is not None
        self._steps = steps_of(config, len(first), is_mix=is_mix)
        self.config = config = config.model_copy(update={"max_steps": self._steps})
        self._dev = [
            row for e in dataset.dev for row in encode_example(base.chat, e.messages, config)
        ]
        self._judge: Judge | None = make_judge(base, dataset, persona, config)
        self._probes = self._live_probes(dataset)
        if resume:
            self._state = self._restored(self._resumable(accept_changes))
        else:
            refuse_existing(folder)
            self._state = self._fresh()
        self._depth = max(len(example.messages) // 2 for example in self._train)
        self._head = SampledHead(
            base,
            self._words(),
            config.head_sample,
            config.seed,
            recompute=config.gradient_checkpointing,
        )
        self.plan = Plan(
            steps=self._steps,
            epochs=self._steps * config.gradient_accumulation_steps / len(first),
            conversations=sum(map(len, first)),
            pre_seq_len=self._state.prefix.length,
            parameters=sum(p.numel() for p in self._state.prefix.parameters()),
        )
        self._refuse_overflow(max(len(row.ids) for row in self._rows()))

    @property
    def prefix(self) -> Prefix:
        """The prefix as it is now."""
        return self._state.prefix

    def train(self, listener: Listener = lambda _progress: None) -> Outcome:
        """Train to the end, to early stopping, or to a signal; the last state is always saved.

        Raises:
            TrainingError: the loss is not a number, the disk is full, or another process
                trains into the folder.
        """
        with disk_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with only_one(self.folder), stop_signals() as stop:
            return self._loop(listener, stop)

    def _loop(self, listener: Listener, stop: list[int]) -> Outcome:
        state, config, begun = self._state, self.config, time.monotonic()
        reason, batches = "finished", self._batches()
        if state.step == 0:
            self._probe(last=False)
        while state.step < self._steps:
            state.losses.append(self._update(batches))
            # Asked once: a signal that comes while this step is saved or told ends the next.
            last, halted = state.step == self._steps, bool(stop)
            saves = state.step % config.save_steps == 0 or last or halted
            dev_loss = self._dev_loss() if saves else None
            retention = self._judge.retention(state.prefix) if saves and self._judge else None
            if saves:
                self._save(dev_loss, retention, finished=last)
            if saves or state.step % config.logging_steps == 0:
                mean = sum(state.losses) / len(state.losses)
                state.losses.clear()
                seconds = time.monotonic() - begun
                self._tell(
                    listener,
                    Progress(
                        state.step, self._steps, mean, dev_loss, retention, state.tokens, seconds
                    ),
                )
            self._probe(last=last)
            if halted and not last:
                reason = "interrupted"
                break
            if config.early_stopping_patience and state.worse >= config.early_stopping_patience:
                reason = "stopped early"
                break
        return Outcome(reason, state.step, self.folder / f"checkpoint-{state.step}")

    def _live_probes(self, dataset: Dataset) -> LiveProbes | None:
        count = self.config.probe_questions
        asks = self.config.probe_steps > 0
        return LiveProbes(self.base, self.persona, dataset, count) if asks else None

    def _probe(self, *, last: bool) -> None:
        step = self._state.step
        if self._probes and (last or step % self.config.probe_steps == 0):
            self._probes.ask(self._state.prefix, step, self.folder)

    def _update(self, batches: Iterator[list[Encoded]]) -> float:
        """Do one update; returns the mean loss per token."""
        state, config = self._state, self.config
        micro = [
            collate(next(batches), self.base.device)
            for _ in range(config.gradient_accumulation_steps)
        ]
        tokens = sum(int((batch.targets >= 0).sum()) for batch in micro)
        total = 0.0
        for part, batch in enumerate(micro):
            draw = state.step * config.gradient_accumulation_steps + part
            loss = self._head.loss(batch, state.prefix, draw) / tokens
            torch.autograd.backward(loss)
            total += loss.item()
            state.tokens += int(batch.real.sum())
        norm = torch.nn.utils.clip_grad_norm_(state.prefix.parameters(), config.max_grad_norm)
        if not math.isfinite(total) or not math.isfinite(float(norm)):
            raise _not_a_number(state.step, config)
        for group in state.optimizer.param_groups:
            group["lr"] = config.learning_rate * _schedule(state.step, self._steps, config)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.step += 1
        return total

    def _batches(self) -> Iterator[list[Encoded]]:
        """Yield all batches from the present step on, epoch after epoch."""
        epochs = chain.from_iterable(self._epoch(number) for number in count())
        return islice(epochs, self._state.step * self.config.gradient_accumulation_steps, None)

    def _epoch(self, number: int) -> list[list[Encoded]]:
        return epoch_batches(self._lessons, self.config, number)

    def _words(self) -> set[int]:
        """Return every word of the data; not of one epoch, which teaches one reply of many."""
        return {self.base.chat.stop_id, *(word for row in self._rows() for word in row.ids)}

    def _rows(self) -> list[Encoded]:
        return [row for rows in [*self._lessons, self._dev] for row in rows]

    def _dev_loss(self) -> float | None:
        if not self._dev:
            return None
        total, tokens = 0.0, 0
        rows = sorted(self._dev, key=lambda row: len(row.ids))
        for start in range(0, len(rows), 16):
            batch = collate(rows[start : start + 16], self.base.device)
            loss, targets = full_loss(self.base, batch, self._state.prefix)
            total, tokens = total + loss, tokens + targets
        if not math.isfinite(total):
            raise _not_a_number(self._state.step, self.config)
        return total / tokens

    # --- starting and saving -------------------------------------------------------------

    def _fresh(self) -> _State:
        start = first_prefix(self.base, self.persona, self._train, self.config)
        prefix = start.to(self.base.device)
        prefix.anchored = self.config.anchored
        return _State(prefix, self._optimizer(prefix))

    def _optimizer(self, prefix: Prefix) -> torch.optim.AdamW:
        return torch.optim.AdamW(prefix.parameters(), self.config.learning_rate, weight_decay=0.0)

    def _save(self, dev_loss: float | None, retention: float | None, *, finished: bool) -> None:
        state = self._state
        name = f"checkpoint-{state.step}"
        figure = dev_loss if retention is None else 1 - retention
        # Of two that recall as much the later one has learnt more of the rest.
        alike = retention is not None and figure == state.least
        if figure is None or figure < state.least or alike:
            state.best, state.worse = name, 0
            state.least = math.inf if figure is None else figure
        else:
            state.worse += 1
        card = Card(
            base=self.base.source.name,
            base_sha256=self.base.source.sha256,
            bits=self.base.bits,
            chat_format=self.base.chat.format.name,
            pre_seq_len=state.prefix.length,
            depth=self._depth,
            anchored=state.prefix.anchored,
            settings=self.config,
            persona=self.persona,
            dataset_sha256=self._data,
            step=state.step,
            dev_loss=dev_loss,
            retention=retention,
            versions=library_versions(),
            prefix_sha256="",
        )
        save_checkpoint(self.folder, card, state.prefix.tensors(), self._resume_tensors())
        chosen = self._judge is not None
        index = RunIndex(best=state.best, last=name, chosen=chosen, finished=finished)
        write_index(self.folder, index)

    def _resume_tensors(self) -> dict[str, Tensor]:
        state = self._state
        numbers = [state.tokens, state.least, state.worse, int(state.best.split("-")[1])]
        tensors = {"numbers": torch.tensor(numbers, dtype=torch.float64)}
        for name, parameter in state.prefix.named_parameters():
            for key, value in state.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = torch.as_tensor(value).detach().cpu()
        return tensors

    def _restored(self, checkpoint: Checkpoint) -> _State:
        from safetensors.torch import load_file

        prefix = Prefix.from_tensors(checkpoint.tensors(), anchored=checkpoint.card.anchored)
        prefix = prefix.to(self.base.device)
        optimizer = self._optimizer(prefix)
        tensors = load_file(checkpoint.folder / STATE_FILE)
        for name, parameter in prefix.named_parameters():
            optimizer.state[parameter] = {
                key: tensors[f"{key}.{name}"].to(self.base.device if key != "step" else "cpu")
                for key in ("step", "exp_avg", "exp_avg_sq")
            }
        tokens, least, worse, best = tensors["numbers"].tolist()
        return _State(
            prefix,
            optimizer,
            step=checkpoint.card.step,
            tokens=int(tokens),
            least=least,
            best=f"checkpoint-{int(best)}",
            worse=int(worse),
        )

    def _refuse_empty(self) -> None:
        if not self._train:
            raise DatasetError(
                say(zh="训练集里一个例子也没有", en="there is not one example to train on"),
                fix=say(zh="检查数据文件", en="look at the data's file"),
                code="no-examples",
            )

    def _resumable(self, accept_changes: bool) -> Checkpoint:
        read_index(self.folder)
        checkpoint = open_checkpoint(self.folder, "last")
        card = checkpoint.card
        pairs = {
            say(zh="数据集", en="dataset"): (card.dataset_sha256, self._data),
            say(zh="底座", en="base"): (card.base_sha256, self.base.source.sha256),
            say(zh="位数", en="bits"): (card.bits, self.base.bits),
            say(zh="量化方法", en="quantization"): (
                card.settings.quantization_backend == "bitsandbytes",
                self.config.quantization_backend == "bitsandbytes",
            ),
            say(zh="对话格式", en="chat format"): (card.chat_format, self.base.chat.format.name),
            say(zh="人设", en="persona"): (card.persona.digest(), self.persona.digest()),
        }
        changed = [name for name, (then, now) in pairs.items() if then != now]
        if changed and not accept_changes:
            raise CheckpointError(
                say(
                    zh=f"上次训练之后变了：{'、'.join(changed)}",
                    en=f"changed since this run began: {', '.join(changed)}",
                ),
                path=checkpoint.folder,
                fix=say(
                    zh="换一个 --out 重新训练；确实要接着练就加 --accept-changes",
                    en="train into another --out; to go on all the same, add --accept-changes",
                ),
                code="resume-changed",
            )
        return checkpoint

    def _refuse_overflow(self, longest: int) -> None:
        needed = self.plan.pre_seq_len + longest
        if needed > self.base.context:
            raise ConfigError(
                say(
                    zh=f"pre_seq_len {self.plan.pre_seq_len} 加最长的对话 {longest}，"
                    f"超过了底座的上下文 {self.base.context}",
                    en=f"pre_seq_len {self.plan.pre_seq_len} and the longest conversation, "
                    f"{longest}, are over the base's context of {self.base.context}",
                ),
                fix=say(zh="调小 pre_seq_len", en="lower pre_seq_len"),
                code="context",
            )

    def _tell(self, listener: Listener, progress: Progress) -> None:
        path = self.folder / LOG_FILE
        with disk_errors(path), path.open("a", encoding="utf-8") as log:
            log.write(json.dumps(vars(progress)) + "\n")
        listener(progress)


def _schedule(step: int, steps: int, config: TrainConfig) -> float:
    """Rise over the warm-up, then fall linearly to zero."""
    return min(1.0, (step + 1) / max(1, config.warmup_steps)) * (1 - step / steps)


def _not_a_number(step: int, config: TrainConfig) -> TrainingError:
    return TrainingError(
        say(
            zh=f"第 {step + 1} 步的 loss 不是有限的数，训练停下了",
            en=f"the loss of step {step + 1} is not a finite number, training stopped",
        ),
        fix=say(
            zh=f"把 learning_rate 从 {config.learning_rate} 调小（例如除以 3），"
            "用 --resume 从上一个检查点继续",
            en=f"lower learning_rate from {config.learning_rate} (say, to a third of it) "
            "and go on from the last checkpoint with --resume",
        ),
        code="loss-not-finite",
    )

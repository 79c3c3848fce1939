"""What someone asks to be trained, from the form to the command.

Everything that can be refused is refused here, before anything is queued, with all that is
wrong at once. The persona is compiled now: what is trained is what was seen when it was
ordered, though it waits for hours and the persona is written on meanwhile.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.studio.jobs import Job, Jobs
from bot.studio.workshop import LONGEST, Workshop, is_id
from trainer.bases import EMBEDDED, EmbeddedBase
from trainer.config import TrainConfig, load_config
from trainer.dataset import Dataset, compile_persona, write_dataset
from trainer.dataset_files import MANIFEST
from trainer.errors import BaseModelError, ConfigError, Fault, RensheError
from trainer.language import say
from trainer.mix_settings import Mix
from trainer.persona import load_persona

TYPED = {"steps": "max_steps", "learning_rate": "learning_rate", "prefix": "pre_seq_len"}
"""Fields of the form, and the settings that they are."""

PROBES, LINES = 12, 100
"""How often in a run the same questions are answered, and how often a line is logged."""

CHECKS, MIX_CHECKS = 8, 4
"""How often the dev loss is taken. With a mix each is an examination of some twenty seconds."""

SOONEST = 4
"""Steps between two questionings, or two checks, at least: each takes as long as several steps."""

PASSES = 6
"""Over single questions, as :func:`trainer.config.steps_of` has it."""

A_DAY = 86_400.0
"""Seconds for which data that nothing was trained on is kept."""


@dataclass(frozen=True)
class Order:
    """A filled in form; what was typed is kept as it was typed, empty for the default.

    Attributes:
        persona: id.
        run: id of the run to be made.
        base: name of an embedded base.
        bits: of its weights.
        mix: teach in conversations (:mod:`trainer.mix`).
        passes: of the mix.
        steps: updates.
        learning_rate: of Adam.
        prefix: positions in the prefix.
        seed: of the data, its order and the sampled words.
    """

    persona: str
    run: str
    base: str = "tiny"
    bits: str = "8"
    mix: bool = False
    passes: int = 8
    steps: str = ""
    learning_rate: str = ""
    prefix: str = ""
    seed: str = ""


@dataclass(frozen=True)
class Prepared:
    """An order that can be carried out.

    Attributes:
        data: folder of the compiled data, relative to the project.
        base: name of the base.
        bits: of its weights.
        settings: ``key=value``, each one valid.
        examples: taught, and kept for dev.
    """

    data: str
    base: str
    bits: str
    settings: tuple[str, ...]
    examples: tuple[int, int]

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows ``renshe``, but for ``--out``."""
        chosen = [word for setting in self.settings for word in ("--set", setting)]
        return ("train", self.data, "--base", self.base, "--bits", self.bits, *chosen)


def installed() -> list[EmbeddedBase]:
    """Return the bases that can be trained on at once."""
    return [base for base in EMBEDDED if base.paths() is not None]


def proposed_name(workshop: Workshop, jobs: Jobs, persona: str) -> str:
    """Return a name for a run that is not in use: the persona's id and a number."""
    stem = re.sub(r"-\d+$", "", persona)[: LONGEST - 4] or "run"
    taken = {job.run for job in jobs.all()} | _folders(workshop)
    return next(name for n in range(1, 10_000) if (name := f"{stem}-{n}") not in taken)


def prepare(workshop: Workshop, order: Order) -> Prepared:
    """Check everything but the run's name, and compile the persona into the studio's folder.

    Raises:
        RensheError: with every fault of the form, or those of the persona.
    """
    settings, faults = _settings(order)
    faults += _base_faults(order)
    if not order.persona:
        faults.insert(0, _no_persona())
    if faults:
        raise ConfigError(faults=tuple(faults))
    dataset = _compiled(workshop.persona_file(order.persona), order, settings)
    folder = workshop.own / "data" / _identity(dataset)
    if not (folder / MANIFEST).is_file():  # which is written last
        write_dataset(dataset, folder, force=True)
    steps = load_config(None, settings).max_steps or _about(dataset, mix=order.mix)
    return Prepared(
        data=f"runs/.studio/data/{folder.name}",
        base=order.base,
        bits=order.bits,
        settings=(*settings, *_intervals(steps, mix=order.mix)),
        examples=(len(dataset.train), len(dataset.dev)),
    )


def start(workshop: Workshop, jobs: Jobs, order: Order) -> Job:
    """Queue a training.

    Raises:
        RensheError: the form or the persona is wrong, the name is in use, the very same
            training is in the queue, or the disk is full.
    """
    faults = _name_faults(workshop, jobs, order.run)
    try:
        prepared = prepare(workshop, order)
    except RensheError as error:
        raise RensheError(faults=(*faults, *error.faults)) from error
    if faults:
        raise RensheError(faults=tuple(faults))
    _refuse_twin(jobs, prepared)
    job = jobs.add("train", order.run, (*prepared.arguments, "--out", f"runs/{order.run}"))
    _tidy(workshop, jobs)
    return job


def resume(workshop: Workshop, jobs: Jobs, run: str, learning_rate: str = "") -> Job:
    """Queue the rest of a training, if asked for with another learning rate.

    Raises:
        RensheError: the rate is none, or the run is in the queue already.
    """
    workshop.run_folder(run)
    given, faults = _given("learning_rate", learning_rate)
    if faults:
        raise ConfigError(faults=tuple(faults))
    chosen = [word for setting in given for word in ("--set", setting)]
    return jobs.add("train", run, ("train", "--resume", "--out", f"runs/{run}", *chosen))


def again(jobs: Jobs, job: Job) -> Job:
    """Queue what failed before it had saved anything.

    Raises:
        RensheError: the run is in the queue already.
    """
    return jobs.add("train", job.run, job.arguments)


# --- the form --------------------------------------------------------------------------------


def _settings(order: Order) -> tuple[tuple[str, ...], list[Fault]]:
    settings: list[str] = []
    faults: list[Fault] = []
    for field in (*TYPED, "seed"):
        given, wrong = _given(field, getattr(order, field))
        settings += given
        faults += wrong
    return tuple(settings), faults


def _given(field: str, typed: str) -> tuple[list[str], list[Fault]]:
    """Return a typed field as a setting, or what is wrong with it."""
    value = unicodedata.normalize("NFKC", str(typed)).strip()
    if not value:
        return [], []
    setting = f"{TYPED.get(field, field)}={value[:60]}"
    try:
        load_config(None, [setting])
    except ConfigError as error:
        name = field_name(field)
        return [], [
            replace(fault, problem=f"{name}: {fault.problem}", path=None) for fault in error.faults
        ]
    return [setting], []


def field_name(field: str) -> str:
    """Name a field of the form."""
    return {
        "steps": say(zh="步数", en="Steps"),
        "learning_rate": say(zh="学习率", en="Learning rate"),
        "prefix": say(zh="前缀长度", en="Prefix length"),
        "seed": say(zh="随机种子", en="Seed"),
    }[field]


def _base_faults(order: Order) -> list[Fault]:
    known = {base.name: base for base in EMBEDDED}
    if order.base not in known:
        problem = say(zh="没有选底座", en="no base is chosen")
        return [Fault(problem, fix=say(zh="选一个", en="choose one"), code="base-unknown")]
    if known[order.base].paths() is None:
        error = BaseModelError(
            say(zh=f"底座 {order.base} 还没有安装", en=f"the base {order.base} is not installed"),
            fix=known[order.base].install,
            code="base-missing",
        )
        return list(error.faults)
    if order.bits not in ("8", "4", "none"):
        return [Fault(say(zh="没有选位数", en="no bits are chosen"), code="bits")]
    return []


def _no_persona() -> Fault:
    return Fault(
        say(zh="没有选人设", en="no persona is chosen"),
        fix=say(zh="先去“人设”页写一个", en="write one in the tab Persona first"),
        code="no-persona",
    )


def _name_faults(workshop: Workshop, jobs: Jobs, run: str) -> list[Fault]:
    try:
        folder = workshop.run_folder(run)
    except RensheError as error:
        return [replace(error.faults[0], problem=f"{_run_name()}: {error.faults[0].problem}")]
    queued = any(job.run == run and job.is_open for job in jobs.all())
    if not queued and not folder.exists():
        return []
    stem = run if is_id(run) else "run"
    return [
        Fault(
            say(zh=f"名字 {run} 已经用了", en=f"the name {run} is in use"),
            fix=say(zh="换一个，例如 ", en="choose another, say ")
            + proposed_name(workshop, jobs, stem),
            code="run-exists",
        )
    ]


def _run_name() -> str:
    return say(zh="训练的名字", en="Name of the run")


def _refuse_twin(jobs: Jobs, prepared: Prepared) -> None:
    """Refuse what would come out the same, to the bit: mostly it is a second click."""
    for job in jobs.all():
        if job.is_open and job.arguments[:-2] == prepared.arguments:
            raise RensheError(
                say(
                    zh=f"一模一样的训练已经在进行或排队：{job.run}",
                    en=f"the very same training is in the queue already: {job.run}",
                ),
                fix=say(
                    zh="想再练一次，就改一项设置，例如随机种子",
                    en="to train once more, change a setting, say the seed",
                ),
                code="twin",
            )


# --- the data --------------------------------------------------------------------------------


def _compiled(file: Path, order: Order, settings: Sequence[str]) -> Dataset:
    if not file.is_file():
        raise RensheError(faults=(_no_persona(),))
    dataset = compile_persona(load_persona(file), seed=load_config(None, settings).seed)
    if not order.mix:
        return dataset
    from trainer.mix import mixed

    return mixed(dataset, Mix(passes=max(1, int(order.passes))))


def _identity(dataset: Dataset) -> str:
    told = f"{dataset.digest()} {dataset.manifest.persona_digest}"
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _about(dataset: Dataset, *, mix: bool) -> int:
    """Return about how many steps it will be, which the tokenizer would tell exactly."""
    batches = len(dataset.train) / TrainConfig().per_device_train_batch_size
    return max(1, round(batches * (1 if mix else PASSES)))


def _intervals(steps: int, *, mix: bool) -> list[str]:
    checks = MIX_CHECKS if mix else CHECKS
    return [
        f"logging_steps={max(1, steps // LINES)}",
        f"save_steps={max(SOONEST, -(-steps // checks))}",
        f"probe_steps={max(SOONEST, steps // PROBES)}",
    ]


def _tidy(workshop: Workshop, jobs: Jobs) -> None:
    """Remove compiled data that no job will read any more: a run keeps its own copy."""
    kept = {word for job in jobs.all() if job.state != "done" for word in job.arguments}
    for folder in (workshop.own / "data").glob("*"):
        old = time.time() - folder.stat().st_mtime > A_DAY  # another page may be about to start
        if old and f"runs/.studio/data/{folder.name}" not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _folders(workshop: Workshop) -> set[str]:
    folder = workshop.root / "runs"
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()

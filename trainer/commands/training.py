"""``train``: from a persona, a compiled folder or another tool's data to a run folder.

Everything that can be wrong cheaply (settings, the run folder, the persona) is looked at
before the base is loaded, because a user who waited a minute for a misspelt setting
does not come back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.commands.run_report import announce, tell_outcome
from trainer.errors import ConfigError, RensheError, TrainingError
from trainer.language import say

if TYPE_CHECKING:
    from trainer.checkpoint import Card
    from trainer.config import TrainConfig
    from trainer.official_script import OfficialScript
    from trainer.train import Outcome, Progress, Run
    from trainer.training_set import TrainingSet

DEFAULT_BASE = "tiny"
BITS = {"8": 8, "4": 4, "none": None}
INTERRUPTED = 130
"""Exit code of a run that a signal ended: saved, but not what was asked for."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "train",
        train,
        about=say(
            zh="训练一个人设。Ctrl-C 会先存盘再停；以后用 --resume 继续。",
            en="Tune a persona. Ctrl-C saves before it stops; go on later with --resume.",
        ),
        example="renshe train personas/muxue.yaml --base tiny --bits 8 --out run\n"
        "renshe train personas/muxue.yaml --out run2 --set max_steps=400 --set seed=1\n"
        "renshe train --like train.sh --base chatglm2-6b --persona persona.yaml\n"
        "renshe train --resume --out run",
    )


def train(
    source: Annotated[
        Path | None,
        typer.Argument(
            metavar="PERSONA|DIR",
            help=say(
                zh="人设文件，或编译好的文件夹，或放着 train.json 的文件夹",
                en="A persona file, a compiled folder, or a folder with a train.json.",
            ),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help=say(
                zh="检查点写到这个文件夹（必填，除非 --like 的脚本里有 --output_dir）",
                en="Where checkpoints are written. Required, unless the script of --like has "
                "--output_dir.",
            ),
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help=say(
                zh=f"底座，见 renshe bases；不写就是 {DEFAULT_BASE}",
                en=f"The base, see renshe bases; {DEFAULT_BASE} if left out.",
            ),
        ),
    ] = None,
    bits: Annotated[
        str | None,
        typer.Option(
            metavar="8|4|none",
            help=say(
                zh="底座权重的位数；不写就按设置里的 quantization_bit（8）",
                en="Bits of the base's weights; by default quantization_bit of the settings (8).",
            ),
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="YAML", help=say(zh="设置文件", en="A file of settings.")),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help=say(zh="改一项设置，可以写多次", en="Change one setting; may be repeated."),
        ),
    ] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN.SH",
            help=say(
                zh="照官方 ptuning 脚本的参数训练；- 从标准输入读。明写的选项优先",
                en="Train as an official ptuning script says; - reads standard input. Options that "
                "are given win.",
            ),
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help=say(
                zh="从 RUN 里最后的检查点继续，沿用它的设置和数据",
                en="Go on from the last checkpoint in RUN, with its settings and its data.",
            ),
        ),
    ] = False,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help=say(
                zh="数据、底座或人设变了也照样继续",
                en="Resume although the data, the base or the persona differ.",
            ),
        ),
    ] = False,
    persona: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=say(
                zh="别的工具写的数据是谁的人设",
                en="Whose persona the data of another tool is.",
            ),
        ),
    ] = None,
    prompt_column: Annotated[
        str | None,
        typer.Option(
            "--prompt_column",
            metavar="NAME",
            help=say(zh="这些数据里问在哪一列", en="Its column of the question."),
        ),
    ] = None,
    response_column: Annotated[
        str | None,
        typer.Option(
            "--response_column",
            metavar="NAME",
            help=say(zh="答在哪一列", en="Its column of the answer."),
        ),
    ] = None,
    history_column: Annotated[
        str | None,
        typer.Option(
            "--history_column",
            metavar="NAME",
            help=say(zh="前几轮在哪一列", en="Its column of the earlier rounds."),
        ),
    ] = None,
) -> None:
    """Check, load, say what is about to happen, and train."""
    columns = {
        "prompt_column": prompt_column,
        "response_column": response_column,
        "history_column": history_column,
    }
    named = {"source": source, "base": base, "out": out, **columns}
    options = {name for name, value in named.items() if value is not None}
    script = _script(like, options, config, overrides or [], bits, resume=resume) if like else None
    out = out or (script and script.out) or _no_out()
    former = _former(out, resume=resume)
    if script:
        _tell(script.lines())
    under = former.settings if former else script.config if script else None
    settings = chosen_settings(under, config, overrides or [], bits)
    training_set = script.training_set(persona, columns) if script else None
    if training_set is None:
        own = source or _own_data(out, former)
        training_set = _training_set(own, settings.seed, persona=persona, **columns)
    base = base or (script and script.base) or (former.base if former else DEFAULT_BASE)
    settings = _as_stored(settings, base)
    run = _run(base, training_set, settings, out, resume, accept_changes)
    announce(run, training_set)
    outcome = _watched(run, training_set, former.step if former else 0)
    tell_outcome(run, outcome)
    if outcome.reason == "interrupted":
        raise typer.Exit(INTERRUPTED)


def _script(
    like: str,
    options: set[str],
    config: Path | None,
    overrides: list[str],
    bits: str | None,
    *,
    resume: bool,
) -> OfficialScript:
    """Read the script that ``--like`` names; whatever else is given wins over it."""
    from trainer.official_script import open_script

    if resume:
        raise ConfigError(
            say(
                zh="接着练的一次训练有自己的设置，不能再照脚本",
                en="a run that goes on has its own settings and takes no script",
            ),
            fix=say(zh="去掉 --like", en="leave out --like"),
            code="like-resume",
        )
    given = chosen_settings(None, config, overrides, bits).model_fields_set
    return open_script(like, {*options, *given})


def _no_out() -> Path:
    raise ConfigError(
        say(zh="没有说检查点写到哪里", en="nothing says where checkpoints are written"),
        fix="--out run",
        code="no-out",
    )


def _tell(lines: Iterator[str]) -> None:
    from trainer.commands.screen import console

    for line in lines:
        console().print(line, markup=False, soft_wrap=True)


def _former(out: Path, *, resume: bool) -> Card | None:
    """Return the card of the checkpoint to go on from; refuse a folder that is taken."""
    from trainer.checkpoint import open_checkpoint
    from trainer.run_folder import refuse_existing

    if resume:
        return open_checkpoint(out, "last").card
    refuse_existing(out)
    if out.exists() and not out.is_dir():
        raise TrainingError(
            say(zh="这是文件，不是文件夹", en="this is a file, not a folder"),
            path=out,
            fix=say(zh="换一个 --out", en="give another --out"),
            code="run-is-file",
        )
    return None


def chosen_settings(
    under: TrainConfig | None, config: Path | None, overrides: list[str], bits: str | None
) -> TrainConfig:
    """Return the settings that are given, over those of a former run or a script."""
    from trainer.config import load_config

    given = load_config(config, overrides)
    if under:
        changes = {name: getattr(given, name) for name in given.model_fields_set}
        given = under.model_copy(update=changes)
    if bits is None:
        return given
    return given.model_copy(update={"quantization_bit": _parsed_bits(bits)})


def _as_stored(settings: TrainConfig, base: str) -> TrainConfig:
    """Take the bits of a base that is packed already, where the user asked for none."""
    from trainer.bases import packed_bits
    from trainer.commands.screen import console

    stored = packed_bits(base)
    if stored is None or "quantization_bit" in settings.model_fields_set:
        return settings
    console().print(
        say(
            zh=f"底座的权重已经是 int{stored}：照用，等于 --bits {stored}",
            en=f"the base is stored in int{stored}: used as it is, as with --bits {stored}",
        )
    )
    return settings.model_copy(update={"quantization_bit": stored})


def _parsed_bits(bits: str) -> int | None:
    if bits not in BITS:
        raise ConfigError(
            say(zh=f"--bits 不能是 {bits}", en=f"--bits cannot be {bits}"),
            fix=say(
                zh="用 8（默认）、4（更省内存）或 none（不量化）",
                en="use 8 (the default), 4 (less memory) or none (not quantized)",
            ),
            code="bits",
        )
    return BITS[bits]


def _own_data(out: Path, former: Card | None) -> Path:
    if former is None:
        raise RensheError(
            say(zh="没有说训练什么", en="nothing to train on was given"),
            fix=f"renshe train personas/muxue.yaml --out {out}",
            code="no-source",
        )
    return out / "data"


def _training_set(
    source: Path, seed: int, *, persona: Path | None, **columns: str | None
) -> TrainingSet:
    from trainer.training_set import load_training_set

    return load_training_set(source, persona=persona, seed=seed, **columns)


def _run(
    base: str,
    training_set: TrainingSet,
    settings: TrainConfig,
    out: Path,
    resume: bool,
    accept_changes: bool,
) -> Run:
    """Load the base and make everything ready; the progress of it is shown."""
    from trainer.commands.screen import reporting

    with reporting() as report:
        report(say(zh="准备", en="getting ready"), 0.0)
        from trainer.model import load_base
        from trainer.train import Run

        loaded = load_base(
            base,
            bits=settings.quantization_bit,
            device=settings.device,
            dtype=settings.dtype,
            chat_format=settings.chat_format,
            backend=settings.quantization_backend,
            report=report,
        )
        return Run(
            loaded,
            training_set.persona,
            training_set.dataset,
            training_set.sha256,
            settings,
            out,
            resume=resume,
            accept_changes=accept_changes,
        )


def _watched(run: Run, training_set: TrainingSet, done: int) -> Outcome:
    from trainer.commands.screen import watching

    with watching(run.plan.steps, done) as show:
        return run.train(_keeping(run.folder / "data", training_set, show))


def _keeping(
    folder: Path, training_set: TrainingSet, show: Callable[[Progress], None]
) -> Callable[[Progress], None]:
    """Return a listener that also puts the data into the run folder, where eval looks for it.

    It does so at the first step that it hears of and not before the run, since only then
    the run is known to be alone in its folder.
    """
    kept: list[bool] = []

    def listen(progress: Progress) -> None:
        from trainer.dataset import write_dataset

        if not kept:
            write_dataset(training_set.dataset, folder, force=True)
            kept.append(True)
        show(progress)

    return listen

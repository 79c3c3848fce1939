"""``eval``: the figures of a run, three columns side by side, and some replies to read.

With ``--retention`` it is another measurement, see :mod:`trainer.commands.retention`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.commands.retention import measure_retention, read_depths
from trainer.errors import CheckpointError, ConfigError
from trainer.language import say

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from trainer.checkpoint import Checkpoint
    from trainer.dataset import Dataset
    from trainer.evaluation_file import ArmScores, Evaluation

SAMPLES = 4
"""Questions whose replies are shown."""

SHOWN = 120
"""Characters of a reply that are shown; an untuned base may ramble on."""


def register(app: typer.Typer) -> None:
    """Add the command to ``app``."""
    add(
        app,
        "eval",
        evaluate_command,
        about=say(
            zh="用训练时没见过的问法考它：底座、底座加自述、训练后，三列并排；"
            "再隔几轮闲聊问一遍，看还记不记得。--retention 细测人设保持：越聊越深，还是不是它。",
            en="Ask it in wordings that it never saw: the base, the base told who it is, and the "
            "tuned one side by side; then again after some small talk. --retention measures "
            "closely whether it stays itself ever deeper in a conversation.",
        ),
        example="renshe eval run\nrenshe eval run --limit 0\nrenshe eval run --retention",
    )


def evaluate_command(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help=say(zh="训练时的 --out 文件夹", en="The --out of renshe train.")
        ),
    ],
    limit: Annotated[
        int,
        typer.Option(
            min=0,
            help=say(
                zh="教过的和没见过的问法各问多少个；0 是全部",
                en="How many taught and how many held-out questions are asked; 0 asks all.",
            ),
        ),
    ] = 64,
    retention: Annotated[
        bool,
        typer.Option(
            "--retention",
            help=say(
                zh="测人设保持，写出 retention.json 和 retention.html；断了再跑会接着测",
                en="Measure retention, into retention.json and retention.html; goes on where it "
                "was cut off.",
            ),
        ),
    ] = False,
    depths: Annotated[
        str | None,
        typer.Option(
            metavar="K,K",
            help=say(
                zh="先聊几轮再问；默认闲聊 0,1,2,4,8,16，自己的话和露馅的话 2,8,16",
                en="Rounds before the questions; by default 0,1,2,4,8,16 of small talk and 2,8,16 "
                "of its own talk and of leaked talk.",
            ),
        ),
    ] = None,
    history_tokens: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help=say(
                zh="另测一行：先聊至少这么多 token；默认 1000，0 是不测",
                en="One more row, after at least so many tokens of talk; 1000 by default, 0 "
                "leaves it out.",
            ),
        ),
    ] = None,
    fresh: Annotated[
        bool,
        typer.Option(
            "--fresh",
            help=say(
                zh="丢掉 retention.json，从头测", en="Measure anew, whatever retention.json holds."
            ),
        ),
    ] = False,
) -> None:
    """Measure, print, and write the figures into the run folder."""
    from trainer.checkpoint import CARD_FILE, open_checkpoint
    from trainer.commands.run_report import tell_backend
    from trainer.commands.screen import reporting
    from trainer.dataset import read_dataset
    from trainer.evaluation_file import write_evaluation

    if not retention:
        _refuse_needless({"--depths": depths, "--history-tokens": history_tokens, "--fresh": fresh})
    asked = None if depths is None else read_depths(depths)
    checkpoint = open_checkpoint(run)
    folder = run.parent if (run / CARD_FILE).is_file() else run
    dataset = read_dataset(folder / "data")
    _refuse_other_data(dataset, checkpoint, folder)
    if retention:
        _measure_retention(run, folder, dataset, asked, history_tokens, limit, fresh)
        return
    with reporting() as report:
        from trainer.evaluate import evaluate
        from trainer.model import load_tuned

        tuned = load_tuned(run, report=report)
        evaluation = evaluate(tuned, dataset, limit=limit, report=report)
    write_evaluation(evaluation, folder / "eval")
    tell_backend(tuned.base)
    _show(evaluation, folder / "eval")


def _measure_retention(
    run: Path,
    folder: Path,
    dataset: Dataset,
    depths: tuple[int, ...] | None,
    history_tokens: int | None,
    limit: int,
    fresh: bool,
) -> None:
    from trainer.extent import DEPTHS, HISTORY_TOKENS, OTHER_DEPTHS, Extent

    extent = Extent(
        depths=DEPTHS if depths is None else depths,
        other_depths=OTHER_DEPTHS if depths is None else depths,
        history_tokens=HISTORY_TOKENS if history_tokens is None else history_tokens,
        limit=limit,
    )
    measure_retention(run, folder, dataset, extent, fresh=fresh)


def _refuse_needless(options: dict[str, object]) -> None:
    """Refuse what would be ignored."""
    given = [name for name, value in options.items() if value is not None and value is not False]
    if given:
        names = ", ".join(given)
        raise ConfigError(
            say(zh=f"{names} 只和 --retention 一起用", en=f"{names} is for --retention only"),
            fix=say(zh="加上 --retention", en="add --retention"),
            code="needless-option",
        )


def _refuse_other_data(dataset: Dataset, checkpoint: Checkpoint, folder: Path) -> None:
    if dataset.digest() != checkpoint.card.dataset_sha256:
        raise CheckpointError(
            say(
                zh="这些数据不是训练这个检查点的数据",
                en="this is not the data that the checkpoint was trained on",
            ),
            path=folder / "data",
            fix=say(zh="重新训练", en="train again"),
            code="data-differs",
        )


def _show(evaluation: Evaluation, folder: Path) -> None:
    from trainer.commands.screen import console

    out = console()
    out.print(_arms(evaluation.arms))
    out.print(_depths(evaluation))
    for sample in _samples(evaluation.arms):
        out.print(sample)
    out.print(say(zh=f"写进了 {folder}", en=f"written to {folder}"), markup=False, soft_wrap=True)


def _names() -> dict[str, str]:
    return {
        "base": say(zh="底座", en="base"),
        "prompted": say(zh="底座+自述", en="base + summary"),
        "tuned": say(zh="训练后", en="tuned"),
    }


def _arms(arms: dict[str, ArmScores]) -> Table:
    from rich.table import Table

    table = Table(title=say(zh="没见过的问法", en="wordings never seen"), title_justify="left")
    table.add_column()
    for name in _names().values():
        table.add_column(name, justify="right")
    figures: dict[str, Callable[[ArmScores], str]] = {
        "BLEU-4": lambda arm: f"{arm.bleu_4:.1f}",
        "ROUGE-1": lambda arm: f"{arm.rouge_1:.1f}",
        "ROUGE-2": lambda arm: f"{arm.rouge_2:.1f}",
        "ROUGE-L": lambda arm: f"{arm.rouge_l:.1f}",
        "chrF": lambda arm: "-" if arm.chrf is None else f"{arm.chrf * 100:.1f}",
        say(zh="答对", en="right"): lambda arm: _share(arm.recall),
        say(zh="自相矛盾", en="contradictions"): lambda arm: _share(arm.contradictions),
        say(zh="露馅", en="leaks"): lambda arm: _share(arm.leaks),
    }
    for name, figure in figures.items():
        table.add_row(name, *(figure(arms[arm]) for arm in _names()))
    return table


def _depths(evaluation: Evaluation) -> Table:
    from rich.table import Table

    table = Table(
        title=say(zh="训练后，先闲聊几轮再问", en="tuned, asked after some small talk"),
        title_justify="left",
    )
    headings = (
        say(zh="闲聊轮数", en="rounds before"),
        say(zh="学过的答对", en="taught, right"),
        say(zh="没见过的答对", en="never seen, right"),
        say(zh="露馅", en="leaks"),
    )
    for heading in headings:
        table.add_column(heading, justify="right")
    for row in evaluation.depths:
        table.add_row(
            str(row.depth),
            f"{_share(row.train_pair)} / {row.train_pairs}",
            f"{_share(row.recall)} / {row.recalls}",
            _share(row.leaks),
        )
    return table


def _samples(arms: dict[str, ArmScores]) -> Iterator[Text]:
    """Yield some questions, spread over the dev set, with what each column said."""
    from rich.text import Text

    asked = arms["tuned"].samples
    for index in _spread(len(asked)):
        text = Text()
        text.append(f"{say(zh='问', en='Q')}: {asked[index].prompt}\n", "bold")
        text.append(f"  {say(zh='原文', en='written')}: {_short(asked[index].reference)}\n", "dim")
        for arm, name in _names().items():
            reply = _short(arms[arm].samples[index].reply)
            text.append(f"  {name}: {reply}\n", "green" if arm == "tuned" else "")
        yield text


def _spread(count: int) -> Sequence[int]:
    return range(0, count, max(1, -(-count // SAMPLES)))


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _short(text: str) -> str:
    """Return a reply on one line; what an untuned base says may hold anything."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(shown.split()) or say(zh="（空）", en="(nothing)")
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"

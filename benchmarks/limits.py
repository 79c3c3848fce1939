"""What limits Recall on ``tiny``: how far wordings that were never taught can be told at all.

Prints for each persona what finds the answer to how many of dev's wordings: the taught wording
that is written most alike, the nearest one in the untuned base, a prefix, and the weights of
every layer tuned in full precision on the same data in as many steps. What not even all of the
weights learn is not for a longer prefix to learn.
"""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.limits_run import WAYS
from benchmarks.measure import side_by_side

PERSONAS = ("personas/muxue.yaml", "personas/dory.yaml")


def main() -> None:
    """Try every way on every persona and print the table."""
    table = Table("persona", "way", "asked", "Recall@0", "TrainPair@0", title="tiny")
    runs = [(persona, way) for persona in PERSONAS for way in WAYS]
    console = Console()
    for row in side_by_side("benchmarks.limits_run", runs):
        console.print(row, soft_wrap=True)
        figures = [f"{row[name]:.2f}" for name in ("recall", "train_pair")]
        table.add_row(row["persona"], row["way"], str(row["asked"]), *figures)
    console.print(table)

"""What the tab Evaluate shows, without a page: from a run and a click to HTML.

Nothing that the page sends is believed: a run that was deleted, or a place that was never
measured, is told and breaks nothing.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from html import escape

from bot.studio.evaluate import view as view
from bot.studio.evaluate.compare import comparison
from bot.studio.evaluate.dialogue import dialogue, unpicked
from bot.studio.evaluate.plain import side_by_side
from bot.studio.evaluate.results import Archive
from trainer.errors import RensheError
from trainer.language import say
from trainer.report import report


@dataclass(frozen=True)
class Shown:
    """The results of a run, as HTML.

    Attributes:
        head: whose they are, and what could not be read.
        retention: figures and curves, or what they would mean.
        grid: the table of facts; empty if there is none.
        plain: the comparison with the base.
        stamp: changes when the results do.
        has_retention: there is something to compare and to export.
    """

    head: str
    retention: str = ""
    grid: str = ""
    plain: str = ""
    stamp: str = ""
    has_retention: bool = False


class Desk:
    """The tab's work.

    Args:
        archive: the results of the runs that are judged.
    """

    def __init__(self, archive: Archive) -> None:
        self.archive = archive

    def show(self, run: str | None, *, only_bad: bool = False) -> Shown:
        """Return the results of a run; what is wrong with them among them."""
        if not run:
            return Shown(view.framed(_no_run()))
        stamp = self.archive.stamp(run)
        try:
            found = self.archive.results(run)
        except RensheError as error:
            return Shown(view.framed(view.fault_box(error.faults)), stamp=stamp)
        retention = found.retention
        head = view.framed(view.headline(found), view.fault_box(found.faults))
        plain = view.framed(side_by_side(found))
        if retention is None:
            return Shown(head, view.framed(view.explained()), plain=plain, stamp=stamp)
        return Shown(
            head=head,
            retention=view.framed(
                view.age(found),
                view.tiles(retention),
                view.curves(retention),
                view.footnotes(retention),
            ),
            grid=view.framed(view.fact_grid(found, only_bad=only_bad)),
            plain=plain,
            stamp=stamp,
            has_retention=True,
        )

    def grid(self, run: str | None, *, only_bad: bool) -> str:
        """Return the table of facts alone."""
        try:
            found = self.archive.results(run or "")
        except RensheError as error:
            return view.framed(view.fault_box(error.faults))
        return view.framed(view.fact_grid(found, only_bad=only_bad))

    def dialogue(self, run: str | None, fact: object, history: object, depth: object) -> str:
        """Return what was asked about a fact in one place, and how it went."""
        try:
            found = self.archive.results(run or "")
        except RensheError as error:
            return view.framed(view.fault_box(error.faults))
        cells = found.retention.cells if found.retention else ()
        cell = next((c for c in cells if (c.history, c.depth) == (history, depth)), None)
        if cell is None or not any(reply.fact == fact for reply in cell.replies):
            return view.framed(view.note(_not_there()))
        try:
            before, fault = self.archive.talk_before(found, cell, str(fact)), ""
        except RensheError as error:
            before, fault = (), "; ".join(each.problem for each in error.faults)
        return view.framed(dialogue(found, cell, str(fact), before, fault))

    def stamp(self, run: str | None) -> str:
        """Return what changes when the results of a run do."""
        return self.archive.stamp(run) if run else ""

    def unpicked(self) -> str:
        """Return what stands in the place of a dialogue before one was chosen."""
        return view.framed(unpicked())

    def others(self, run: str | None) -> list[str]:
        """Return the runs that a run can be compared with."""
        return [other for other in self.archive.measured() if other != run]

    def former(self, run: str | None) -> str | None:
        """Return the youngest other run of the same persona; none if there is none."""
        with suppress(RensheError):
            persona = self.archive.retention(run or "").persona
            for other in self.others(run):
                with suppress(RensheError):
                    if self.archive.retention(other).persona == persona:
                        return other
        return None

    def compare(self, run: str | None, other: str | None) -> str:
        """Return what a run does that another does not."""
        if not run or not other:
            return view.framed(_nothing_to_compare(bool(self.others(run))))
        try:
            before, after = self.archive.retention(other), self.archive.retention(run)
        except RensheError as error:
            return view.framed(view.fault_box(error.faults))
        return view.framed(comparison(before, after, (other, run)))

    def report(self, run: str) -> bytes:
        """Return the report as one file that shows itself anywhere.

        Raises:
            RensheError: there is none.
        """
        return report(self.archive.retention(run)).encode()


def _no_run() -> str:
    told = say(
        zh="还没有训练过。先到“训练”那一页练一个，再回来看它还是不是它。",
        en="Nothing is trained yet. Tune a persona in the tab Train, then come back to see whether "
        "it stays itself.",
    )
    return f'<p class="lead">{escape(told)}</p>'


def _not_there() -> str:
    return say(
        zh="这里没有测过，或者结果刚刚换掉了。重新点一个格子。",
        en="Nothing was measured here, or the results have just been replaced. Choose again.",
    )


def _nothing_to_compare(has_others: bool) -> str:
    told = (
        say(
            zh="选一次训练，看从它到现在这次，哪些事实变好了，哪些变坏了。",
            en="Choose a run to see which facts got better from it to the one shown, and which "
            "worse.",
        )
        if has_others
        else say(
            zh="还没有另一次测过人设保持的训练可以比。改一改人设再训练、再测一次，就能看出改得好不好。",
            en="There is no other run whose retention was measured. Edit the persona, train and "
            "measure again, to see whether the edit did good.",
        )
    )
    return f'<p class="lead">{escape(told)}</p>'

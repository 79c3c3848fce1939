"""The tab Evaluate: whether a tuned persona stays itself, and what a change did to it.

The page only places things; what they show is :mod:`bot.studio.evaluate.desk`'s, what the
buttons do :mod:`bot.studio.evaluate.controls`'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from bot.studio.evaluate.controls import Controls
from bot.studio.evaluate.desk import Desk
from bot.studio.evaluate.measuring import Thoroughness, What
from bot.studio.evaluate.results import Archive
from bot.studio.evaluate.style import CSS
from bot.studio.jobs import Jobs
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.language import say

__all__ = ["CSS", "build", "title"]

TICK = 2.0
"""Seconds between two looks at a running evaluation."""

_GRID = """
const all = () => [...element.querySelectorAll('button[data-fact]')];
element.addEventListener('click', (event) => {
  const cell = event.target.closest('button[data-fact]');
  if (!cell) return;
  all().forEach((one) => one.classList.toggle('on', one === cell));
  const {fact, history, depth} = cell.dataset;
  trigger('select', {fact, history, depth: Number(depth)});
});
element.addEventListener('keydown', (event) => {
  const step = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]};
  const move = step[event.key], td = event.target.closest('td');
  if (!move || !td) return;
  const row = td.parentElement, rows = [...row.parentElement.children];
  const next = rows[rows.indexOf(row) + move[0]]?.children[td.cellIndex + move[1]];
  const button = next?.querySelector('button');
  if (button) { event.preventDefault(); button.focus(); }
});
"""
"""A place says which it is; arrow keys walk from place to place."""

_TO_THE_DIALOGUE = """() => { if (window.innerWidth < 900)
  document.getElementById('evaluate-talk')?.scrollIntoView({behavior: 'smooth'}); }"""

Updates = dict[Any, Any]
Handler = Callable[..., Updates]


def title() -> str:
    """Return what the tab is called."""
    return say(zh="评测", en="Evaluate")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs, led: gr.State) -> None:
    """Build the tab."""
    archive = Archive(workshop)
    view = _Tab(Desk(archive), Controls(archive, jobs), workshop)
    view.place()
    view.bind(tab, led)


class _Tab:
    """The components and what they do; one for the page, visitors share no state in it."""

    def __init__(self, desk: Desk, controls: Controls, workshop: Workshop) -> None:
        self._desk, self._controls, self._workshop = desk, controls, workshop

    def place(self) -> None:
        """Place the components."""
        runs = self._workshop.runs()
        with gr.Row(elem_id="evaluate-top"):
            self.run = gr.Dropdown(
                runs,
                value=runs[0] if runs else None,
                label=say(zh="看哪一次训练", en="Which run"),
                elem_id="evaluate-run",
                min_width=240,
            )
            with gr.Column(scale=2, min_width=280):
                self.head = _html()
        self._place_measuring()
        with gr.Tabs(elem_id="evaluate-views"):
            with gr.Tab(say(zh="人设保持", en="Retention")):
                self._place_retention()
            with gr.Tab(say(zh="和底座比", en="Against the base")):
                self.plain = _html(elem_id="evaluate-plain")
            with gr.Tab(say(zh="两次训练比", en="Two runs")):
                self.other = gr.Dropdown(
                    [],
                    value=None,
                    label=say(zh="和哪一次比（以前的）", en="Compared with (before)"),
                )
                self.compared = _html(elem_id="evaluate-compared")
        self.timer = gr.Timer(TICK, active=False)
        self.stamp = gr.State("")

    def _place_measuring(self) -> None:
        with gr.Column(elem_id="evaluate-measure"):
            self.how = gr.Radio(
                list(self._controls.state(None, "quick").choices),
                value="quick",
                label=say(zh="测得多细", en="How closely"),
                elem_id="evaluate-how",
            )
            self.cost = _html()
            with gr.Row():
                measure = say(zh="测人设保持", en="Measure retention")
                compare = say(zh="和底座比一比", en="Compare with the base")
                self.measure = gr.Button(measure, variant="primary", interactive=False)
                self.compare = gr.Button(compare, interactive=False)
                self.halt = gr.Button(say(zh="停下", en="Stop"), variant="stop", interactive=False)
            self.status = _html(elem_id="evaluate-status")

    def _place_retention(self) -> None:
        self.retention = _html(elem_id="evaluate-retention")
        self.facts = gr.Column(visible=False)
        with self.facts:
            with gr.Row(elem_id="evaluate-facts-head"):
                _html(f'<div class="ev"><h3>{say(zh="每条事实", en="Each fact")}</h3></div>')
                self.only_bad = gr.Checkbox(
                    label=say(zh="只看没有全答对的", en="only those not always right"),
                    container=False,
                )
            with gr.Row():
                with gr.Column(scale=5, min_width=320):
                    self.grid = _html(elem_id="evaluate-grid", js_on_load=_GRID)
                with gr.Column(scale=3, min_width=280):
                    self.talk = _html(self._desk.unpicked(), elem_id="evaluate-talk")
            self.export = gr.DownloadButton(
                say(zh="导出报告（一个网页文件）", en="Export the report (one HTML file)"),
                elem_id="evaluate-export",
            )

    def bind(self, tab: gr.Tab, led: gr.State) -> None:
        """Bind what happens to what is done."""
        every = [*self._shown, *self._states, self.run, self.other, self.compared, self.talk]
        choice = [self.run, self.how, self.only_bad]
        everything = [*choice, self.other, self.stamp]
        self._on(tab.select, self._opened, [*everything, led], every)
        # After what it reports is on the page: making it takes longer than showing it.
        self._on(self.stamp.change, self._exported, [self.run], [self.export], hidden=True)
        self._on(self.run.input, self._chosen, choice, every)
        self._on(self.how.input, self._priced, [self.run, self.how], self._states)
        self._on(self.only_bad.input, self._filtered, [self.run, self.only_bad], [self.grid])
        picked = self._on(self.grid.select, self._picked, [self.run], [self.talk])
        picked.then(None, js=_TO_THE_DIALOGUE, api_visibility="private")
        self._on(self.other.input, self._compared, [self.run, self.other], [self.compared])
        measure, compare = self._starting("retention"), self._starting("plain")
        self._on(self.measure.click, measure, [self.run, self.how], self._states)
        self._on(self.compare.click, compare, [self.run, self.how], self._states)
        self._on(self.halt.click, self._stopped, [self.run, self.how], self._states)
        self._on(self.timer.tick, self._ticked, everything, every, hidden=True)

    @property
    def _shown(self) -> list[Any]:
        return [self.head, self.retention, self.facts, self.grid, self.plain, self.stamp]

    @property
    def _states(self) -> list[Any]:
        buttons = [self.measure, self.compare, self.halt]
        return [self.status, self.how, self.cost, *buttons, self.timer]

    def _on(
        self, event: Any, do: Handler, inputs: list[Any], outputs: list[Any], hidden: bool = False
    ) -> Any:
        return event(
            do,
            inputs,
            outputs,
            api_visibility="private",
            show_progress="hidden" if hidden else "minimal",
            trigger_mode="once" if hidden else "always_last",
        )

    # --- what is done ----------------------------------------------------------------------

    def _opened(
        self,
        run: str | None,
        how: Thoroughness,
        only_bad: bool,
        other: str | None,
        stamp: str,
        led: dict[str, str],
    ) -> Updates:
        """Look again at which runs there are; that one is gone is told."""
        runs = self._workshop.runs()
        run = led.pop("evaluate", run)
        if run not in runs:
            if run:
                gr.Warning(say(zh=f"{run} 不在了", en=f"{run} is gone"))
            run = runs[0] if runs else None
        choice: Updates = {self.run: gr.Dropdown(runs, value=run)}
        if stamp and stamp == self._desk.stamp(run):
            return choice | self._state(run, how) | self._rivals(run, other)
        return choice | self._chosen(run, how, only_bad)

    def _chosen(self, run: str | None, how: Thoroughness, only_bad: bool) -> Updates:
        return {
            **self._results(run, only_bad),
            **self._state(run, how),
            **self._rivals(run, None),
            self.talk: self._desk.unpicked(),
        }

    def _rivals(self, run: str | None, other: str | None) -> Updates:
        """Look again at which runs it can be compared with; the one chosen stays."""
        others = self._desk.others(run)
        other = other if other in others else self._desk.former(run)
        return {self.other: gr.Dropdown(others, value=other), **self._compared(run, other)}

    def _results(self, run: str | None, only_bad: bool) -> Updates:
        shown = self._desk.show(run, only_bad=only_bad)
        return {
            self.head: shown.head,
            self.retention: shown.retention,
            self.facts: gr.Column(visible=shown.has_retention),
            self.grid: shown.grid,
            self.plain: shown.plain,
            self.stamp: shown.stamp,
        }

    def _exported(self, run: str | None) -> Updates:
        """Put the report where Gradio serves files from: it serves none of the project's."""
        path: str | None = None
        with suppress(RensheError):  # nothing is measured, or it is gone again
            content, name = self._desk.report(run or ""), f"{run}-retention.html"
            path = save_bytes_to_cache(content, name, self.export.GRADIO_CACHE)
        return {self.export: gr.DownloadButton(value=path)}

    def _state(self, run: str | None, how: Thoroughness) -> Updates:
        state = self._controls.state(run, how)
        return {
            self.status: state.status,
            self.how: gr.Radio(list(state.choices), value=how),
            self.cost: state.cost,
            self.measure: gr.Button(state.button, interactive=state.can_measure),
            self.compare: gr.Button(interactive=state.can_compare),
            self.halt: gr.Button(interactive=state.can_stop),
            self.timer: gr.Timer(active=state.can_stop),
        }

    def _priced(self, run: str | None, how: Thoroughness) -> Updates:
        return self._state(run, how)

    def _filtered(self, run: str | None, only_bad: bool) -> Updates:
        return {self.grid: self._desk.grid(run, only_bad=only_bad)}

    def _picked(self, run: str | None, event: gr.EventData) -> Updates:
        told = event._data if isinstance(event._data, dict) else {}
        place = (told.get(name) for name in ("fact", "history", "depth"))
        return {self.talk: self._desk.dialogue(run, *place)}

    def _compared(self, run: str | None, other: str | None) -> Updates:
        return {self.compared: self._desk.compare(run, other)}

    def _starting(self, what: What) -> Handler:
        def start(run: str | None, how: Thoroughness) -> Updates:
            with _warnings():
                self._controls.start(run, what, how)
            return self._state(run, how)

        return start

    def _stopped(self, run: str | None, how: Thoroughness) -> Updates:
        with _warnings():
            self._controls.stop(run)
        return self._state(run, how)

    def _ticked(
        self, run: str | None, how: Thoroughness, only_bad: bool, other: str | None, stamp: str
    ) -> Updates:
        """Tell how far it is, and show what was measured meanwhile."""
        updates = self._state(run, how)
        if stamp != self._desk.stamp(run):
            updates |= self._results(run, only_bad)
            if other:
                updates |= self._compared(run, other)
        return updates


@contextmanager
def _warnings() -> Iterator[None]:
    """Tell the visitor what is wrong, and how to mend it."""
    try:
        yield
    except RensheError as error:
        for fault in error.faults:
            gr.Warning(f"{fault.problem} → {fault.fix}" if fault.fix else fault.problem)


def _html(value: str = "", **options: Any) -> gr.HTML:
    plain = {"apply_default_css": False, "js_on_load": None, "elem_classes": "ev-block"}
    return gr.HTML(value, **(plain | options))

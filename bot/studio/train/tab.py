"""The tab Train: order a training on the left, watch one on the right.

The page holds nothing that the files do not: it is drawn from them every two seconds while
the tab is looked at, and whoever comes back sees what goes on at once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from bot.studio.jobs import Job, Jobs
from bot.studio.train.board import Board, Seen
from bot.studio.train.form import (
    Form,
    build_form,
    named,
    persona_choices,
    started,
    wire_cost,
)
from bot.studio.train.order import again, resume
from bot.studio.train.panels import faults_panel
from bot.studio.train.style import CSS
from bot.studio.workshop import Workshop
from trainer.language import say

__all__ = ["CSS", "build", "title"]

TICK = 2.0
"""Seconds between two looks at the files."""

_AT_ONCE: dict[str, Any] = {
    "show_progress": "hidden",
    "api_visibility": "private",
    "queue": False,  # these take milliseconds, and shall not wait behind what takes longer
}


def title() -> str:
    """Return what the tab is called."""
    return say(zh="训练", en="Train")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs, led: gr.State) -> None:
    """Build the tab."""
    with gr.Row(equal_height=False, elem_id="train-sides"):
        with gr.Column(scale=4, min_width=320):
            form = build_form()
        with gr.Column(scale=6, min_width=320):
            board = Board(workshop, jobs)
    _wire_visits(tab, form, board, workshop, jobs, led)
    wire_cost(form, tab, workshop)
    _wire_start(form, board, workshop, jobs)
    _wire_acts(board, workshop, jobs)
    _wire_ways(tab, board, led)


def _wire_visits(
    tab: gr.Tab, form: Form, board: Board, workshop: Workshop, jobs: Jobs, led: gr.State
) -> None:
    """Draw when somebody comes, and again and again while somebody looks."""
    timer = gr.Timer(TICK, active=False)

    def arrive(
        led: dict[str, str],
        persona: str | None,
        run: str,
        last: str,
        shown: str | None,
        seen: Seen,
    ) -> Any:
        choices = persona_choices(workshop)
        ids = [name for _, name in choices]
        persona = led.pop("train", persona)
        chosen = persona if persona in ids else next(iter(ids), None)
        name, proposed = named(workshop, jobs, chosen, run, last)
        who = gr.update(choices=choices, value=chosen)
        return [who, name, proposed, gr.Timer(active=True), *board.arrived(shown, seen)]

    def look_away(event: gr.SelectData) -> Any:
        return gr.Timer(active=event.value == title())

    who = [form.persona, form.run, form.proposed]
    tab.select(arrive, [led, *who, *board.inputs], [*who, timer, *board.outputs], **_AT_ONCE)
    _tabs(tab).select(look_away, None, timer, **_AT_ONCE)
    timer.tick(board.drawn, board.inputs, board.outputs, **_AT_ONCE)
    board.run.input(board.drawn, board.inputs, board.outputs, **_AT_ONCE)


def _wire_start(form: Form, board: Board, workshop: Workshop, jobs: Jobs) -> None:
    def begin(*values: Any) -> Any:
        *fields, last, shown, seen = values
        run, faults = started(workshop, jobs, tuple(fields))
        if faults:
            return [faults_panel(faults), fields[1], last, *board.drawn(shown, seen)]
        name, proposed = named(workshop, jobs, fields[0], "", "")
        return ["", name, proposed, *board.drawn(run, seen)]

    form.start.click(
        begin,
        [*form.fields, form.proposed, *board.inputs],
        [form.wrong, form.run, form.proposed, *board.outputs],
        show_progress="minimal",
        show_progress_on=form.start,
        api_visibility="private",
    )
    who = [form.persona, form.run, form.proposed]

    def renamed(persona: str | None, run: str, last: str) -> Any:
        names = named(workshop, jobs, persona, run, last)
        # What is the same is not sent: it would come over a name that is typed meanwhile.
        return gr.skip() if names == (run, last) else names

    form.persona.change(renamed, who, who[1:], **_AT_ONCE)


def _wire_acts(board: Board, workshop: Workshop, jobs: Jobs) -> None:
    def stop(job: Job | None) -> None:
        if job:
            jobs.stop(job.id)

    def try_again(job: Job | None) -> None:
        if job:
            again(jobs, job)

    def go_on(run: str | None, seen: Seen, rate: str) -> Any:
        return board.acted(lambda _job: resume(workshop, jobs, run or "", rate), run, seen)

    def take_out(run: str | None, seen: Seen, event: gr.EventData) -> Any:
        return board.acted(lambda _job: jobs.stop(str(event.job)), run, seen)

    outputs = [board.wrong, *board.outputs]
    board.stop.click(partial(board.acted, stop), board.inputs, outputs, **_AT_ONCE)
    board.again.click(partial(board.acted, try_again), board.inputs, outputs, **_AT_ONCE)
    board.resume.click(go_on, [*board.inputs, board.rate], outputs, **_AT_ONCE)
    board.queue.remove(take_out, board.inputs, outputs, **_AT_ONCE)


def _wire_ways(tab: gr.Tab, board: Board, led: gr.State) -> None:
    """Lead to what comes after a training, with the run that is shown."""

    def lead(name: str, run: str | None, led: dict[str, str]) -> Any:
        if run:
            led[name] = run
        return gr.Tabs(selected=name)

    for button, name in ((board.chat, "chat"), (board.evaluate, "evaluate")):
        button.click(partial(lead, name), [board.run, led], _tabs(tab), **_AT_ONCE)


def _tabs(tab: gr.Tab) -> gr.Tabs:
    tabs = tab.parent
    if not isinstance(tabs, gr.Tabs):
        raise TypeError("a tab stands among tabs")
    return tabs

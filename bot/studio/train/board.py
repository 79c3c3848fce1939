"""The board of the tab Train: one training as it goes on, what may be done, and the queue.

It is drawn from the files each time, but a part is only sent to the page where it differs
from what the page shows: nothing flickers, and nothing moves under a finger.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from bot.studio.jobs import Job, Jobs
from bot.studio.train.panels import faults_panel, queue_panel
from bot.studio.train.view import curves_panel, headline, probes_panel
from bot.studio.train.watch import Training, known_runs, watched
from bot.studio.workshop import Workshop
from trainer.errors import RensheError
from trainer.language import say

OUTPUT_LINES = 80
"""Lines of a job's output that are shown."""

Seen = dict[str, dict[str, Any]]
"""What a page shows: for each part the properties that it was given last."""

_QUEUE_CLICKS = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-job]');
  if (button) { button.disabled = true; trigger('remove', {job: button.dataset.job}); }
});
"""


class Board:
    """Lays the board out, and draws it.

    Args:
        workshop: whose trainings they are.
        jobs: its queue.
    """

    def __init__(self, workshop: Workshop, jobs: Jobs) -> None:
        self._workshop, self._jobs = workshop, jobs
        self.seen = gr.State({})
        self.run = gr.Dropdown(
            [], label=say(zh="看哪一次训练", en="Which training"), elem_id="train-shown"
        )
        self.now = gr.HTML(headline(Training()), elem_id="train-now")
        self.wrong = gr.HTML("", elem_id="train-refused")
        self._lay_out_acts()
        self.curves = gr.HTML(curves_panel(Training()), elem_id="train-curves")
        self.probes = gr.HTML(probes_panel(Training()), elem_id="train-probes")
        self.queue = gr.HTML(queue_panel([]), elem_id="train-queue", js_on_load=_QUEUE_CLICKS)
        with gr.Accordion(say(zh="完整输出", en="All that it printed"), open=False):
            self.output = gr.HTML("", elem_id="train-output")

    def _lay_out_acts(self) -> None:
        with gr.Row(elem_id="train-acts"):
            self.stop = gr.Button(
                say(zh="停下（先存盘）", en="Stop (saves first)"), size="md", visible=False
            )
            self.resume = gr.Button(say(zh="继续训练", en="Resume"), size="md", visible=False)
            self.again = gr.Button(say(zh="再来一次", en="Try again"), size="md", visible=False)
            self.chat = gr.Button(say(zh="去对话", en="Go to Chat"), size="md", visible=False)
            self.evaluate = gr.Button(
                say(zh="去评测", en="Go to Evaluate"), size="md", visible=False
            )
        self.rate = gr.Textbox(
            label=say(zh="继续时的学习率", en="Learning rate from here on"),
            placeholder=say(zh="不变", en="as before"),
            max_length=60,
            visible=False,
            elem_id="train-rate",
        )

    @property
    def parts(self) -> dict[str, Any]:
        """The components that are drawn anew, by name."""
        names = ("run", "now", "curves", "probes", "queue", "output", "stop", "resume", "rate")
        return {name: getattr(self, name) for name in (*names, "again", "chat", "evaluate")}

    @property
    def inputs(self) -> list[Any]:
        """What :meth:`drawn` takes."""
        return [self.run, self.seen]

    @property
    def outputs(self) -> list[Any]:
        """What :meth:`drawn` returns updates for."""
        return [*self.parts.values(), self.seen]

    def drawn(self, run: str | None, seen: Seen) -> list[Any]:
        """Return an update for each part that is new, and what is seen then.

        Args:
            run: id of the training to show; without one that in progress, or the youngest.
            seen: what the page shows.
        """
        try:
            shown = self._shown(run or "")
        except RensheError as error:
            shown = {**self._shown_empty(), **seen, "now": {"value": faults_panel(error.faults)}}
        updates = [
            gr.skip() if shown[name] == seen.get(name) else gr.update(**shown[name])
            for name in self.parts
        ]
        return [*updates, shown]

    def arrived(self, run: str | None, seen: Seen) -> list[Any]:
        """As :meth:`drawn`, for whoever comes to the tab: what is in progress goes first."""
        return self.drawn(run if self._is_open(run) else None, seen)

    def acted(self, act: Callable[[Job | None], Any], run: str | None, seen: Seen) -> list[Any]:
        """Do something with the shown training's job; returns what is wrong, then as drawn."""
        told = ""
        try:
            act(watched(self._workshop, self._jobs, run or "").job)
        except RensheError as error:
            told = faults_panel(error.faults)
        return [told, *self.drawn(run, seen)]

    def _is_open(self, run: str | None) -> bool:
        try:
            return any(job.run == run and job.is_open for job in self._jobs.all())
        except RensheError:  # told when it is drawn
            return False

    def _shown(self, run: str) -> Seen:
        all_jobs = self._jobs.all()
        training = watched(self._workshop, self._jobs, run)
        output = self._jobs.output(training.job.id) if training.job else ""
        return {
            "run": {"choices": known_runs(self._workshop, all_jobs), "value": training.run or None},
            "queue": {"value": queue_panel(all_jobs)},
            "output": {"value": _lines(output)},
            **_of_training(training),
        }

    def _shown_empty(self) -> Seen:
        return {"queue": {}, "output": {}, "run": {}, **_of_training(Training())}


def _of_training(training: Training) -> Seen:
    stopping = training.phase == "stopping"
    return {
        "now": {"value": headline(training)},
        "curves": {"value": curves_panel(training)},
        "probes": {"value": probes_panel(training)},
        "stop": {"visible": training.is_open, "interactive": not stopping},
        "resume": {"visible": training.can_resume},
        "rate": {"visible": training.can_resume},
        "again": {"visible": training.can_try_again},
        "chat": {"visible": training.saved},
        "evaluate": {"visible": training.saved},
    }


def _lines(output: str) -> str:
    last = "\n".join(output.splitlines()[-OUTPUT_LINES:])
    return f"<pre>{escape(last) or '–'}</pre>"

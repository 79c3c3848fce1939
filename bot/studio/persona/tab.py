"""The tab Persona: form and YAML of a persona side by side, in step in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gradio as gr

from bot.studio.jobs import Jobs
from bot.studio.persona import changes as changes
from bot.studio.persona.desk import LONGEST
from bot.studio.persona.events import Editor, told
from bot.studio.persona.importing import build_import
from bot.studio.persona.page import PersonaPage
from bot.studio.persona.parts import Parts, build_parts
from bot.studio.persona.place import Place
from bot.studio.persona.preview import build_preview
from bot.studio.persona.style import CSS as CSS
from bot.studio.persona.style import TO_TRAIN_JS, guarded
from bot.studio.persona.versions import build_versions
from bot.studio.workshop import Workshop
from trainer.language import say


def title() -> str:
    """Return what the tab is called."""
    return say(zh="人设", en="Persona")


def build(page: gr.Blocks, tab: gr.Tab, workshop: Workshop, jobs: Jobs, led: gr.State) -> None:
    """Build the tab."""
    parts = build_parts(workshop)
    outputs = _outputs(parts)
    editor = Editor(PersonaPage(workshop), parts, outputs)
    listen = _Listening(parts, outputs)
    with parts.more:
        build_import(parts, editor)
        build_preview(parts)
        build_versions(parts, editor)
    _coming(tab, parts, editor, listen)
    _typing(parts, editor, listen)
    _editing(parts, editor, listen)
    _saving(parts, editor, listen, led)


class _Listening:
    """Ties handlers to events: none is in the API, and a text too long never leaves the page."""

    def __init__(self, parts: Parts, outputs: list[Any]) -> None:
        self._parts, self._outputs = parts, outputs

    def on(
        self,
        event: Any,
        handler: Callable[..., Any],
        inputs: list[Any],
        side: str = "",
        **more: Any,
    ) -> None:
        """Call ``handler`` with ``inputs``; it may change anything of the tab."""
        at = inputs.index(self._parts.side) if self._parts.side in inputs else None
        event(
            handler,
            inputs,
            self._outputs,
            js=guarded(len(inputs), LONGEST, side_at=at, side=side),
            api_visibility="private",
            **{"show_progress": "hidden", "concurrency_limit": 4, **more},
        )

    def edits(self, event: Any, handler: Callable[..., Any], **more: Any) -> None:
        """Call ``handler`` with all that an edit needs."""
        self.on(event, handler, self._parts.inputs, **more)


def _coming(tab: gr.Tab, parts: Parts, editor: Editor, listen: _Listening) -> None:
    listen.on(tab.select, told(editor.arrive), [parts.place, parts.choice])
    listen.on(parts.choice.input, told(editor.open), [parts.choice], show_progress="minimal")
    listen.on(parts.new.click, told(editor.begin), [])
    new = [parts.new_name, parts.new_language]
    listen.on(parts.create.click, told(editor.create), new)
    listen.on(parts.new_name.submit, told(editor.create), new)
    for stem, button in parts.samples.items():
        listen.on(button.click, told(_copying(editor, stem)), [])
    draft = [parts.offer_choice, parts.history, parts.place]
    listen.on(parts.take_draft.click, told(editor.take_draft), draft)
    seen = [parts.offer_choice, parts.place]
    listen.on(parts.offer_choice.input, told(editor.look_at_draft), seen)
    listen.on(parts.drop_draft.click, told(editor.drop_draft), seen)


def _copying(editor: Editor, stem: str) -> Callable[..., Any]:
    def copy(request: gr.Request) -> Any:
        return editor.copy(request, stem)

    return copy


def _typing(parts: Parts, editor: Editor, listen: _Listening) -> None:
    last: dict[str, Any] = {"trigger_mode": "always_last"}
    listen.edits(parts.code.input, told(editor.typed), side="yaml", **last)
    listen.edits(parts.ears.input, told(editor.filled), side="form", **last)
    language = parts.form.fields["language"]
    listen.edits(language.input, told(editor.filled), side="form", **last)


def _editing(parts: Parts, editor: Editor, listen: _Listening) -> None:
    form = parts.form
    listen.edits(parts.undo.click, told(editor.undo))
    listen.edits(form.add_fact.click, editor.edit(changes.add_fact))
    listen.edits(form.drop_fact.click, editor.edit(changes.drop_fact))
    listen.edits(form.add_talk.click, editor.edit(changes.add_talk))
    listen.edits(form.drop_talk.click, editor.edit(changes.drop_talk))
    listen.edits(form.facts.click, editor.chosen(changes.pick_fact))
    listen.edits(form.talks.click, editor.chosen(changes.pick_talk))
    listen.edits(form.wordings.click, editor.chosen(changes.add_wording))
    listen.edits(parts.missing.click, editor.chosen(changes.add_missing))
    parts.missing.click(
        lambda: gr.update(selected="facts"), None, parts.tabs, api_visibility="private"
    )
    listen.on(parts.missing_tab.select, told(editor.missing), [parts.code])


def _saving(parts: Parts, editor: Editor, listen: _Listening, led: gr.State) -> None:
    listen.edits(parts.save.click, told(editor.save), show_progress="minimal")
    listen.edits(parts.take_theirs.click, told(editor.take_theirs))
    listen.on(parts.keep_mine.click, told(editor.keep_mine), [parts.conflict, *parts.inputs])
    to_train: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    parts.to_train.click(_lead, [parts.place, led], None, **to_train).then(
        None, js=TO_TRAIN_JS, api_visibility="private"
    )


def _lead(place: str, led: dict[str, str]) -> None:
    led["train"] = Place.received(place).id


def _outputs(parts: Parts) -> list[Any]:
    form = parts.form
    hidden = [parts.place, parts.conflict, parts.history]
    boxes = [parts.offer, parts.offer_text, parts.offer_choice, parts.clash, parts.clash_text]
    lines = [parts.status, parts.notice, parts.next, parts.code, parts.faults, parts.missing]
    start = [parts.choice, parts.welcome, parts.new_name, parts.desk, parts.undo, parts.save]
    drawn = [form.facts, form.fact_faults, form.wordings, form.talks, form.talk_faults]
    return [*hidden, *boxes, *lines, *start, *drawn, *form.inputs]

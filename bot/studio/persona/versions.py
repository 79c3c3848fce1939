"""The versions of a persona: what each save replaced, to look at and to go back to."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from bot.studio.persona import view as view
from bot.studio.persona.desk import LONGEST
from bot.studio.persona.events import Editor, told
from bot.studio.persona.form import drawn
from bot.studio.persona.page import at, received
from bot.studio.persona.parts import Parts
from bot.studio.persona.place import Place
from bot.studio.persona.style import guarded
from trainer.language import say


def build_versions(parts: Parts, editor: Editor) -> None:
    """Build the versions inside the tabs that are open."""
    with gr.Tab(say(zh="版本", en="Versions"), id="versions") as tab:
        drawn(
            "<p class='lead'>"
            + say(
                zh="每次保存，上一份都留在这里。",
                en="Each save leaves what it replaced here.",
            )
            + "</p>"
        )
        with gr.Row(equal_height=True):
            chosen = gr.Dropdown(
                [], label=say(zh="版本", en="Version"), scale=3, elem_id="persona-version"
            )
            restore = gr.Button(
                say(zh="回到这一版", en="Go back to it"), min_width=120, elem_id="persona-restore"
            )
        changes = drawn(elem_id="persona-version-diff")
        delete = gr.Button(
            say(zh="删除这个人设", en="Delete this persona"), size="sm", elem_id="persona-delete"
        )
        with gr.Row(visible=False) as sure:
            really = gr.Button(say(zh="真的删除", en="Really delete"), variant="stop", size="sm")
            spare = gr.Button(say(zh="留着", en="Keep it"), size="sm")
    shared: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}

    def listed(sent: str, code: str) -> Any:
        place = Place.received(sent)
        versions = editor.page.desk.versions(place.id) if place.id else []
        choices = [(f"{at(one.time)} · {one.size:,} B", one.id) for one in versions]
        first = versions[0].id if versions else None
        return gr.update(choices=choices, value=first), compared(sent, first, code)

    def compared(sent: str, version: str | None, code: str) -> str:
        place = Place.received(sent)
        if not place.id or not version:
            return f"<p class='none'>{say(zh='还没有旧版本', en='No versions yet')}</p>"
        text = editor.page.desk.version(place.id, version)
        legend = say(zh="回到这一版，会这样变：", en="Going back to it changes this:")
        now = received(code).rstrip() + "\n"
        return f"<p class='lead'>{legend}</p>{view.difference(now, text.rstrip() + chr(10))}"

    def restored(request: gr.Request, version: str | None, *all: Any) -> Any:
        def change(place: Place, text: str) -> tuple[Place, str]:
            return place, editor.page.desk.version(place.id, version) if version else text

        return editor.changed(request, change, *all)

    def asking(asked: bool) -> Any:
        return gr.update(visible=not asked), gr.update(visible=asked)

    ask: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    delete.click(partial(asking, True), None, [delete, sure], **ask)
    spare.click(partial(asking, False), None, [delete, sure], **ask)
    really.click(told(editor.delete), [parts.place], editor.outputs, **shared).then(
        partial(asking, False), None, [delete, sure], **ask
    )

    script = guarded(3, LONGEST)
    seen = [parts.place, chosen, parts.code]
    tab.select(
        told(listed), [parts.place, parts.code], [chosen, changes], js=guarded(2, LONGEST), **shared
    )
    chosen.input(told(compared), seen, changes, js=script, **shared)
    restore.click(
        told(restored),
        [chosen, *parts.inputs],
        editor.outputs,
        js=guarded(1 + len(parts.inputs), LONGEST, side_at=2),
        **shared,
    ).success(told(compared), seen, changes, js=script, **shared)

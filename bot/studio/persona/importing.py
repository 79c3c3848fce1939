"""Brings pasted dialogues into a persona: paste, say who is who, look, add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from bot.studio.persona import view as view
from bot.studio.persona.check import check_text
from bot.studio.persona.desk import LONGEST
from bot.studio.persona.events import Editor, told
from bot.studio.persona.form import drawn
from bot.studio.persona.page import received, with_dialogues
from bot.studio.persona.parts import Parts
from bot.studio.persona.pasted import Pasted, as_dialogues, guess_bot, read_pasted
from bot.studio.persona.place import Place
from bot.studio.persona.style import guarded
from trainer.errors import RensheError
from trainer.language import say

SHOWN = 20
"""Dialogues that are shown for review; the rest is added all the same."""


def build_import(parts: Parts, editor: Editor) -> None:
    """Build the import inside the tabs that are open."""
    with gr.Tab(say(zh="粘贴对话", en="Paste dialogues"), id="import"):
        pasted = gr.Textbox(
            label=say(zh="粘贴在这里", en="Paste here"),
            info=say(
                zh="“甲：… 乙：…”“User: … Assistant: …”、QQ 或 Telegram 里复制的都行；空行隔开两段",
                en="“A: … B: …”, “User: … Assistant: …”, copied from QQ or Telegram; a blank line "
                "parts two dialogues",
            ),
            lines=8,
            max_lines=20,
            elem_id="persona-pasted",
        )
        read = gr.Button(say(zh="读一读", en="Read it"), elem_id="persona-read")
        bot = gr.Radio(
            [],
            label=say(zh="哪个是它？", en="Which one is the persona?"),
            visible=False,
            elem_id="persona-who",
        )
        review = drawn(elem_id="persona-review")
        add = gr.Button(
            say(zh="加进人设", en="Add to the persona"),
            variant="primary",
            visible=False,
            elem_id="persona-add-pasted",
        )
    shared: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}
    read.click(
        told(_read),
        [pasted, parts.code],
        [bot, review, add],
        js=guarded(2, LONGEST),
        **shared,
    )
    bot.input(told(_review), [pasted, bot], [review, add], js=guarded(2, LONGEST), **shared)
    add.click(
        told(_adding(editor)),
        [pasted, bot, *parts.inputs],
        editor.outputs,
        js=guarded(2 + len(parts.inputs), LONGEST, side_at=3),
        **shared,
    ).success(lambda: gr.update(selected="talks"), None, parts.tabs, api_visibility="private")


def _adding(editor: Editor) -> Callable[..., Any]:
    def add(request: gr.Request, pasted: str, bot: str, *all: Any) -> Any:
        talks = as_dialogues(read_pasted(received(pasted)), bot or "")
        if not talks:
            return {}

        def change(place: Place, text: str) -> tuple[Place, str]:
            text, first = with_dialogues(text, talks)
            return replace(place, talk=first), text

        gr.Info(
            say(zh=f"加了 {len(talks)} 段", en=f"Added {len(talks)}"),
            duration=3,
        )
        return editor.changed(request, change, *all)

    return add


def _read(pasted: str, code: str) -> Any:
    found = read_pasted(received(pasted))
    if not found.talks:
        raise RensheError(
            say(zh="没看出谁说了什么", en="nobody seems to speak in it"),
            fix=say(
                zh="每句前面写上名字和冒号，如 我：你好",
                en="put a name and a colon before each line, such as A: hello",
            ),
            code="no-speakers",
        )
    persona = check_text(received(code)).persona
    names = [persona.name, *persona.aliases] if persona else []
    speakers = found.speakers
    guess = guess_bot(list(speakers), names)
    choices = [(f"{name}（{number}）", name) for name, number in speakers.items()]
    review, more = _drawn(found, guess)
    return gr.update(choices=choices, value=guess, visible=True), review, more


def _review(pasted: str, bot: str | None) -> Any:
    return _drawn(read_pasted(received(pasted)), bot)


def _drawn(found: Pasted, bot: str | None) -> tuple[str, Any]:
    talks = as_dialogues(found, bot or "") if bot else []
    if not talks:
        text = say(
            zh="选一下哪个是它；要有人先说、它来答", en="Choose the persona; it must answer someone"
        )
        return f"<p class='none'>{text}</p>", gr.update(visible=False)
    drawn = "".join(
        view.bubbles((line.speaker, line.text) for line in talk) for talk in talks[:SHOWN]
    )
    left = sum(map(len, found.talks)) - sum(map(len, talks))
    lead = say(zh=f"{len(talks)} 段对话", en=f"{len(talks)} dialogue{'s' * (len(talks) > 1)}")
    if found.unread or left > 0:
        lead += say(
            zh="；合并了连着说的，没人接的和没名字的没算",
            en="; turns in a row were merged, what nobody answered or said is left out",
        )
    button = say(zh=f"把这 {len(talks)} 段加进人设", en=f"Add {len(talks)} to the persona")
    return f"<p class='lead'>{lead}</p>{drawn}", gr.update(visible=True, value=button)

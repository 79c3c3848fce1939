"""The preview of the Persona tab: what will be taught, by kind and by example."""

from __future__ import annotations

from functools import lru_cache
from html import escape
from typing import Any

import gradio as gr

from bot.studio.persona import view as view
from bot.studio.persona.check import check_text
from bot.studio.persona.desk import LONGEST
from bot.studio.persona.form import drawn
from bot.studio.persona.page import received
from bot.studio.persona.parts import Parts
from bot.studio.persona.style import guarded
from trainer.errors import RensheError
from trainer.language import say
from trainer.persona import Persona

SHOWN = 3
"""Examples that are shown at once."""


def build_preview(parts: Parts) -> None:
    """Build the preview inside the tabs that are open."""
    with gr.Tab(say(zh="训练数据预览", en="What will be taught"), id="preview") as tab:
        lead = drawn(elem_id="persona-preview")
        table = drawn()
        with gr.Row():
            kind = gr.Dropdown(
                [], label=say(zh="看哪一种", en="Kind"), scale=3, elem_id="persona-kind"
            )
            more = gr.Button(say(zh="换几个例子", en="Other examples"), size="sm", min_width=100)
        examples = drawn(elem_id="persona-examples")
        start = gr.State(0)
    shared: dict[str, Any] = {"api_visibility": "private", "concurrency_limit": 2}
    outputs = [lead, table, kind, examples, start]
    script = guarded(2, LONGEST)
    tab.select(_arrive, [parts.code, kind], outputs, js=script, **shared)
    kind.input(_first, [parts.code, kind], [examples, start], js=script, **shared)
    more.click(
        _further, [parts.code, kind, start], [examples, start], js=guarded(3, LONGEST), **shared
    )


def _arrive(code: str, kind: str | None) -> Any:
    persona, problem = _persona(code)
    if persona is None:
        return problem, "", gr.update(choices=[], value=None), "", 0
    from bot.studio.persona.compiled import kinds

    try:
        made = _compiled(persona)
    except RensheError as error:
        return view.error(error), "", gr.update(choices=[], value=None), "", 0
    why = kinds()
    counts = [(name, len(rows), why.get(name, "")) for name, rows in made.examples.items()]
    chosen = kind if kind and kind in made.examples else next(iter(made.examples))
    choices = [(f"{name} · {number}", name) for name, number, _ in counts]
    update = gr.update(choices=choices, value=chosen)
    return _lead(made), view.kinds_table(counts), update, _shown(made, chosen, 0), 0


def _first(code: str, kind: str | None) -> Any:
    return _further(code, kind, -SHOWN)


def _further(code: str, kind: str | None, start: int) -> Any:
    persona, problem = _persona(code)
    if persona is None:
        return problem, 0
    try:
        made = _compiled(persona)
    except RensheError as error:
        return view.error(error), 0
    rows = made.examples.get(kind or "", ())
    start = (start + SHOWN) % max(1, len(rows))
    return _shown(made, kind or "", start), start


def _persona(code: str) -> tuple[Persona | None, str]:
    try:
        persona = check_text(received(code)).persona
    except RensheError as error:
        return None, view.error(error)
    wait = say(zh="先改好错误，才编得出来", en="Mend the errors first: then it compiles")
    return persona, f"<p class='none'>{wait}</p>"


@lru_cache(maxsize=2)
def _compiled(persona: Persona) -> Any:
    # Hundreds of examples take a second; the buttons ask for the same ones again and again.
    from bot.studio.persona.compiled import compiled

    return compiled(persona)


def _lead(made: Any) -> str:
    number = made.taught
    text = say(
        zh=f"按默认设置训练，会学这 {number:,} 个例子：",
        en=f"A training of default settings learns from {number:,} examples:",
    )
    left = escape(", ".join(made.untested))
    untested = say(
        zh=f"这些事实问法太少或太像，考试考不到：{left}",
        en=f"Too few or too similar wordings: the test leaves out {left}",
    )
    return f"<p class='lead'>{text}</p>" + (
        f"<p class='warning'>{untested}</p>" if made.untested else ""
    )


def _shown(made: Any, kind: str, start: int) -> str:
    drawn = ""
    for example in made.examples.get(kind, ())[start : start + SHOWN]:
        turns = [
            ("user" if message.role == "user" else "bot", message.text)
            for message in example.messages
        ]
        fact = f"<p class='lead'>{escape(example.fact)}</p>" if example.fact else ""
        drawn += fact + view.bubbles(turns, faint=len(turns) - 2 if kind != "dialogue" else 0)
    return drawn

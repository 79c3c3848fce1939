"""The plugins' cards: a switch each, and a form made of each one's own settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr

from bot.studio.bots import html as html
from bot.studio.bots.forms import QUIET, Common
from bot.studio.bots.plugins import Card, Field, Kind, plugin_cards, save_plugin
from trainer.errors import RensheError
from trainer.language import say


def plugin_forms(common: Common) -> None:
    """Build the cards; they are made anew when the file is read anew, typed values kept."""
    gr.Markdown(
        say(
            zh="改动写进 `renshe.yaml`，运行中的机器人马上重读。",
            en="Changes go into `renshe.yaml`; a running bot reads them at once.",
        )
    )

    drawn = gr.render(inputs=[common.epoch], triggers=[common.epoch.change], show_progress="hidden")
    drawn(partial(_cards, common))


def _cards(common: Common, _epoch: int) -> None:
    try:
        found = plugin_cards(common.desk.file.read())
    except RensheError as error:
        gr.HTML(html.faults_box(error.faults))
        return
    for card in found:
        _card(common, card)


def _card(common: Common, card: Card) -> None:
    with gr.Group(elem_id=f"bots-plugin-{card.name}"):
        enabled = gr.Checkbox(
            card.enabled,
            label=": ".join(filter(None, [card.name, card.about])),
            interactive=True,
            key=(card.name, ""),
            elem_id=f"bots-plugin-{card.name}-on",
        )
        if card.fault:
            gr.HTML(html.note(card.fault, "bad"))
        inputs: list[Any] = []
        if card.fields:
            with gr.Accordion(say(zh="设置", en="Settings"), open=False, key=(card.name, "*")):
                inputs = [_input(card, field) for field in card.fields]
                done = gr.Button(say(zh="保存", en="Save"), elem_id=f"bots-plugin-{card.name}-save")
    names = [field.name for field in card.fields]
    save = partial(_save, common, card.name, names)
    outputs = [common.notice, common.seen]
    enabled.input(partial(_switch, common, card.name), [common.seen, enabled], outputs, **QUIET)
    if inputs:
        done.click(save, [common.seen, enabled, *inputs], outputs, **QUIET)


def _switch(common: Common, name: str, seen: str, enabled: bool) -> tuple[str, str]:
    return _save(common, name, [], seen, enabled)


def _save(
    common: Common, name: str, names: list[str], seen: str, enabled: bool, *values: Any
) -> tuple[str, str]:
    filled = dict(zip(names, values, strict=True))
    save = partial(save_plugin, common.desk.file, seen, name, bool(enabled), filled)
    notice, seen, _ = common.save(save, seen)
    return notice, seen


def _input(card: Card, field: Field) -> Any:
    """Return the input of a setting; what was typed into it outlives a new drawing."""
    shared: dict[str, Any] = {
        "label": f"{field.name}:",  # a bare word may be one that Gradio translates
        "interactive": True,
        "info": field.about,
        "key": (card.name, field.name),
        "elem_id": f"bots-plugin-{card.name}-{field.name}",
    }
    makers: dict[Kind, Callable[[], Any]] = {
        "text": lambda: gr.Textbox(field.value, **shared),
        "integer": lambda: gr.Number(field.value, step=1, **shared),
        "number": lambda: gr.Number(field.value, **shared),
        "switch": lambda: gr.Checkbox(bool(field.value), **shared),
        "choice": lambda: gr.Dropdown(list(field.choices), value=field.value, **shared),
        "lines": lambda: gr.Textbox(field.value, lines=3, **shared),
        "yaml": lambda: gr.Textbox(field.value, lines=3, placeholder="YAML", **shared),
    }
    return makers[field.kind]()

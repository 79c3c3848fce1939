"""What stands on the Persona tab, from top to bottom; what it does is in ``persona_events``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from bot.studio.persona.form import Form, build_form, drawn
from bot.studio.persona.page import example_names
from bot.studio.persona.place import History, Place
from bot.studio.persona.style import CHOICE_JS, EARS_JS, FAULTS_JS
from bot.studio.workshop import Workshop
from trainer.language import say, spoken


@dataclass(frozen=True)
class Parts:
    """The components that handlers read and write.

    Attributes:
        place, side: hidden; where the page stands, and where was typed last.
        ears: hidden; hears what is typed into the form.
        history: of texts, on the server.
        conflict: hidden; digest of somebody else's content that was shown.
        choice, new, undo, save: the bar.
        welcome, new_name, new_language, create, samples: how a persona begins.
        desk: all that is there once a persona is open.
        status, notice: lines over the form.
        offer, offer_text, take_draft, drop_draft: a draft of an earlier visit.
        clash, clash_text, take_theirs, keep_mine: the file was changed elsewhere.
        next, to_train: what to do after a save.
        form, tabs, code, faults: the two sides and what is wrong.
    """

    place: gr.Textbox
    side: gr.Textbox
    ears: gr.HTML
    conflict: gr.Textbox
    history: gr.State
    choice: gr.Dropdown
    new: gr.Button
    undo: gr.Button
    save: gr.Button
    welcome: gr.Column
    new_name: gr.Textbox
    new_language: gr.Radio
    create: gr.Button
    samples: dict[str, gr.Button]
    desk: gr.Column
    status: gr.HTML
    notice: gr.HTML
    offer: gr.Column
    offer_text: gr.HTML
    offer_choice: gr.Dropdown
    take_draft: gr.Button
    drop_draft: gr.Button
    clash: gr.Column
    clash_text: gr.HTML
    take_theirs: gr.Button
    keep_mine: gr.Button
    next: gr.Column
    to_train: gr.Button
    form: Form
    tabs: gr.Tabs
    missing_tab: gr.Tab
    missing: gr.HTML
    more: gr.Tabs
    code: gr.Code
    faults: gr.HTML

    @property
    def inputs(self) -> list[Any]:
        """What every handler of an edit is told: place, side, history, code, then the fields."""
        return [self.place, self.side, self.history, self.code, *self.form.inputs]


def build_parts(workshop: Workshop) -> Parts:
    """Build the tab's components."""
    made: dict[str, Any] = {
        "place": gr.Textbox(Place().sent(), visible="hidden", elem_id="persona-place"),
        "side": gr.Textbox("", visible="hidden", elem_id="persona-side"),
        "ears": drawn(js_on_load=EARS_JS, visible="hidden"),
        "conflict": gr.Textbox("", visible="hidden"),
        "history": gr.State(History()),
    }
    _bar(made)
    _welcome(made, workshop)
    with gr.Column(visible=False) as desk:
        made["desk"] = desk
        made["status"] = drawn(elem_id="persona-status")
        _boxes(made)
        with gr.Row(elem_id="persona-sides"):
            with gr.Column(scale=6, min_width=320):
                made["notice"] = drawn(elem_id="persona-notice")
                with gr.Tabs(elem_id="persona-form") as tabs:
                    made["tabs"] = tabs
                    made["form"] = build_form()
                    with gr.Tab(say(zh="还缺什么", en="What is missing"), id="missing") as tab:
                        made["missing_tab"] = tab
                        made["missing"] = _missing()
            with gr.Column(scale=5, min_width=320):
                _yaml(made)
        made["more"] = gr.Tabs(elem_id="persona-more")
    return Parts(**made)


def _bar(made: dict[str, Any]) -> None:
    with gr.Row(elem_id="persona-bar"):
        made["choice"] = gr.Dropdown(
            [], label=say(zh="人设", en="Persona"), scale=4, min_width=160, elem_id="persona-choice"
        )
        made["new"] = gr.Button(say(zh="＋ 新人设", en="＋ New"), min_width=80)
        made["undo"] = gr.Button(
            say(zh="↶ 撤销", en="↶ Undo"), min_width=80, visible=False, elem_id="persona-undo"
        )
        made["save"] = gr.Button(
            say(zh="保存", en="Save"), variant="primary", visible=False, elem_id="persona-save"
        )


def _welcome(made: dict[str, Any], workshop: Workshop) -> None:
    with gr.Column(visible=False, elem_id="persona-welcome") as made["welcome"]:
        drawn(
            f"<h2>{say(zh='写一个人设', en='Write a persona')}</h2><p>"
            + say(
                zh="给它起个名字，从写好的模板开始，一处一处换成你自己的。",
                en="Give it a name and begin with a template; make every line your own.",
            )
            + "</p>"
        )
        with gr.Row(equal_height=True):
            made["new_name"] = gr.Textbox(
                label=say(zh="名字", en="Name"),
                placeholder=say(zh="如 沐雪", en="such as Dory"),
                max_length=64,
                scale=3,
                min_width=140,
                elem_id="persona-new-name",
            )
            made["new_language"] = gr.Radio(
                [(say(zh="中文", en="Chinese"), "zh"), (say(zh="英文", en="English"), "en")],
                value=spoken(),
                label=say(zh="它说的语言", en="It speaks"),
                scale=2,
                min_width=140,
            )
        made["create"] = gr.Button(
            say(zh="从模板开始", en="Begin"), variant="primary", elem_id="persona-create"
        )
        made["samples"] = _samples(workshop)


def _samples(workshop: Workshop) -> dict[str, gr.Button]:
    names = example_names(workshop)
    if not names:
        return {}
    drawn(
        "<p>" + say(zh="或者拿一个写好的来改：", en="Or begin with one that is written:") + "</p>"
    )
    with gr.Row():
        return {
            stem: gr.Button(say(zh=f"复制“{name}”", en=f"Copy {name}"), size="sm")
            for stem, name in names.items()
        }


def _boxes(made: dict[str, Any]) -> None:
    """Build what is asked or told now and then: a draft, a clash, the next step."""
    with gr.Column(visible=False, elem_id="persona-offer", elem_classes="asking") as made["offer"]:
        made["offer_text"] = drawn(padding=True)
        made["offer_choice"] = gr.Dropdown([], label=say(zh="草稿", en="Draft"))
        with gr.Row():
            made["take_draft"] = gr.Button(
                say(zh="接着写草稿", en="Go on with the draft"), variant="primary", size="sm"
            )
            made["drop_draft"] = gr.Button(say(zh="丢掉草稿", en="Discard it"), size="sm")
    with gr.Column(visible=False, elem_id="persona-clash", elem_classes="asking") as made["clash"]:
        made["clash_text"] = drawn(padding=True)
        with gr.Row():
            made["take_theirs"] = gr.Button(say(zh="用文件里的", en="Take theirs"), size="sm")
            made["keep_mine"] = gr.Button(
                say(zh="留我的", en="Keep mine"), variant="primary", size="sm"
            )
    with gr.Column(visible=False, elem_id="persona-next", elem_classes="asking") as made["next"]:
        drawn(
            "<div class='notice'>"
            + say(
                zh="保存好了。下一步：到“训练”里教它，几分钟后就能和它聊。",
                en="Saved. Next: teach it on the Train tab; some minutes later you can talk to it.",
            )
            + "</div>"
        )
        made["to_train"] = gr.Button(say(zh="去训练 →", en="Train it →"), size="sm")


def _missing() -> gr.HTML:
    drawn(
        "<p class='lead'>"
        + say(
            zh="这些话人人都会问，你还没写。点一个，就有一条事实等你填回答。",
            en="People ask these of anyone, and no fact answers yet. Click one to begin a fact.",
        )
        + "</p>"
    )
    return drawn(js_on_load=CHOICE_JS, elem_id="persona-missing")


def _yaml(made: dict[str, Any]) -> None:
    made["code"] = gr.Code(
        label="YAML",
        language="yaml",
        lines=18,
        max_lines=30,
        wrap_lines=True,
        interactive=True,
        elem_id="persona-yaml",
        buttons=["copy", "download"],
    )
    made["faults"] = drawn(js_on_load=FAULTS_JS, elem_id="persona-faults")

"""The form of the Persona tab: its components, and which field of the file each shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from bot.studio.persona.fields import NAMES, Fields
from bot.studio.persona.style import CHOICE_JS
from trainer.language import say


@dataclass(frozen=True)
class Form:
    """The components of the form.

    Attributes:
        fields: by name of the field (:class:`bot.studio.persona.fields.Fields`).
        facts: the table of facts; its click tells the row.
        fact_faults: what is wrong with the open fact.
        wordings: other wordings that are offered for it.
        add_fact, drop_fact: buttons.
        talks: the list of dialogues; its click tells the row.
        talk_faults: what is wrong with the open dialogue.
        add_talk, drop_talk: buttons.
    """

    fields: dict[str, Any]
    facts: gr.HTML
    fact_faults: gr.HTML
    wordings: gr.HTML
    add_fact: gr.Button
    drop_fact: gr.Button
    talks: gr.HTML
    talk_faults: gr.HTML
    add_talk: gr.Button
    drop_talk: gr.Button

    @property
    def inputs(self) -> list[Any]:
        """The fields in the order of :data:`NAMES`."""
        return [self.fields[name] for name in NAMES]

    def shows(self, values: Fields) -> dict[Any, Any]:
        """Return the updates that show ``values`` and let them be edited."""
        return {
            self.fields[name]: gr.update(value=getattr(values, name), interactive=True)
            for name in NAMES
        }

    def locked(self) -> dict[Any, Any]:
        """Return the updates that leave everything as it is and let nothing be edited."""
        return {component: gr.update(interactive=False) for component in self.inputs}


def build_form() -> Form:
    """Build the form's tabs inside the tabs that are open."""
    made: dict[str, Any] = {}
    with gr.Tab(say(zh="基本", en="Basics"), id="basics"):
        _basics(made)
    with gr.Tab(say(zh="事实", en="Facts"), id="facts"):
        facts = _facts(made)
    with gr.Tab(say(zh="对话", en="Dialogues"), id="talks"):
        talks = _talks(made)
    with gr.Tab(say(zh="防露馅", en="Guard"), id="guard"):
        _guard(made)
    return Form(made, *facts, *talks)


def _basics(made: dict[str, Any]) -> None:
    with gr.Row():
        made["name"] = gr.Textbox(
            label=say(zh="名字", en="Name"), scale=2, min_width=140, elem_id="persona-name"
        )
        made["language"] = gr.Dropdown(
            [(say(zh="中文", en="Chinese"), "zh"), (say(zh="英文", en="English"), "en")],
            label=say(zh="它说的语言", en="Speaks"),
            allow_custom_value=True,  # a file may hold anything while it is typed
            min_width=120,
        )
    made["aliases"] = _list(say(zh="别名", en="Other names"))
    made["summary"] = gr.Textbox(
        label=say(zh="一段自述", en="Summary"),
        info=say(
            zh="它是谁、性格怎样。既是系统提示，也是训练的起点，最好不超过 600 字",
            en="who it is and what it is like; the system text and where training starts from; "
            "up to 600 characters is best",
        ),
        lines=4,
        max_lines=14,
        elem_id="persona-summary",
    )
    made["greeting"] = gr.Textbox(
        label=say(zh="开场白", en="Greeting"),
        info=say(zh="聊天时的第一句，可以不写", en="the first line of a chat; may be left out"),
        lines=2,
    )
    made["first_person"] = _list(
        say(zh="自称", en="Calls itself"), say(zh="如 咱、在下", en="such as I")
    )
    made["habits"] = _list(say(zh="口头禅和说话习惯", en="Pet phrases and habits of speech"))
    made["avoid"] = _list(
        say(zh="绝不说的词", en="Words it never says"),
        say(zh="它自己的台词里出现了会提醒", en="you are told where its own lines have one"),
    )


def _facts(made: dict[str, Any]) -> tuple[Any, ...]:
    drawn(
        "<p class='lead'>"
        + say(
            zh="不能忘的事，一行一条。点一行，在下面改。",
            en="What must never be forgotten. Click a row and edit it below.",
        )
        + "</p>"
    )
    with gr.Column(elem_classes="persona-scroll"):
        facts = drawn(js_on_load=CHOICE_JS, elem_id="persona-facts")
    with gr.Row():
        add = gr.Button(say(zh="＋ 加一条事实", en="＋ Add a fact"), size="sm")
        drop = gr.Button(
            say(zh="删掉这一条", en="Delete this fact"), size="sm", variant="stop", min_width=60
        )
    made["fact_id"] = gr.Textbox(
        label="id",
        info=say(zh="小写字母、数字和 -，如 favorite-food", en="lower case, like favorite-food"),
        elem_id="persona-fact-id",
    )
    made["ask"] = _list(
        say(zh="问法", en="Wordings of the question"),
        say(
            zh="一行一种，三种以上最好：留一种考试，其余用来学",
            en="one a line; three or more: one is kept for the test, the others are learnt from",
        ),
        lines=4,
        elem_id="persona-ask",
    )
    wordings = drawn(js_on_load=CHOICE_JS, elem_id="persona-wordings")
    made["answer"] = _list(
        say(zh="回答", en="Answers"),
        say(
            zh="一行一个，用它自己的口吻；第 1 种问法配第 1 个回答，轮着用",
            en="one a line, in its own voice; wording 1 gets answer 1, round and round",
        ),
        lines=3,
        elem_id="persona-answer",
    )
    made["expect"] = gr.Textbox(
        label=say(zh="对的回答里有", en="A right answer holds"),
        info=say(
            zh="关键的词，几个里有一个就行时用 | 隔开，如 沐雪|雪雪（正则表达式）",
            en="its key words, with | where one of several will do: sea|waves "
            "(a regular expression)",
        ),
        elem_id="persona-expect",
    )
    made["reject"] = gr.Textbox(
        label=say(zh="自相矛盾的回答里有", en="A contradiction holds"),
        info=say(zh="可以不写", en="may be left out"),
    )
    faults = drawn(elem_id="persona-fact-faults")
    return facts, faults, wordings, add, drop


def _talks(made: dict[str, Any]) -> tuple[Any, ...]:
    drawn(
        "<p class='lead'>"
        + say(
            zh="整段对话，让它在多轮聊天里也不走样。点一行，在下面改。",
            en="Whole conversations keep it itself in long chats. Click a row and edit it below.",
        )
        + "</p>"
    )
    with gr.Column(elem_classes="persona-scroll"):
        talks = drawn(js_on_load=CHOICE_JS, elem_id="persona-talks")
    with gr.Row():
        add = gr.Button(say(zh="＋ 加一段对话", en="＋ Add a dialogue"), size="sm")
        drop = gr.Button(say(zh="删掉这一段", en="Delete this dialogue"), size="sm", variant="stop")
    made["talk"] = gr.Textbox(
        label=say(zh="这一段", en="This dialogue"),
        info=say(
            zh="一行一句，“对方：”和“它：”轮流说，对方起头，它收尾",
            en="one turn a line, “User:” and “Bot:” in turns; the user begins, the bot ends",
        ),
        lines=6,
        max_lines=24,
        elem_id="persona-talk",
    )
    faults = drawn()
    return talks, faults, add, drop


def _guard(made: dict[str, Any]) -> None:
    made["leaks"] = _list(
        say(zh="露馅的话", en="Words that betray the base model"),
        say(
            zh="一行一个（正则表达式）。回答里有它就重说；它自己的台词里不能有",
            en="one a line (regular expressions). A reply with one is said again; nothing that "
            "the persona says may match",
        ),
        lines=5,
    )
    made["fallback"] = _list(
        say(zh="露馅时改说的台词", en="What it says instead"),
        say(zh="一行一句，一再露馅时说", en="one a line, for when replies keep leaking"),
        lines=3,
    )
    made["lorebook"] = _list(
        say(zh="世界设定", en="Lorebook"),
        say(
            zh="一行一条：关键词, 关键词 = 内容。现在只保存，训练和对话还用不上",
            en="one a line: key, key = content. Kept, and not used in training or chats yet",
        ),
        lines=2,
    )


def _list(label: str, info: str = "", lines: int = 2, **more: Any) -> gr.Textbox:
    each = say(zh="一行一个", en="one a line")
    return gr.Textbox(label=label, info=info or each, lines=lines, max_lines=16, **more)


def drawn(value: str = "", **more: Any) -> gr.HTML:
    """Return a place for a piece of :mod:`bot.studio.persona.view`, in the tab's own style."""
    return gr.HTML(value, **{"js_on_load": None, "apply_default_css": False, **more})

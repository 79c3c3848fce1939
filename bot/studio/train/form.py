"""The form of the tab Train: what is trained, with what settings, and what that will take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from bot.studio.jobs import Jobs
from bot.studio.train.cost import Cost, Reckoner
from bot.studio.train.order import Order, field_name, installed, prepare, proposed_name, start
from bot.studio.train.panels import cost_panel, faults_panel
from bot.studio.workshop import Workshop, name_of
from trainer.bases import EMBEDDED
from trainer.errors import Fault, RensheError
from trainer.language import say


@dataclass(frozen=True)
class Form:
    """The components of the form.

    Attributes:
        persona: whom to train.
        run: what the run will be called.
        proposed: the name that was proposed last; another one was typed.
        fields: everything that makes an :class:`Order`, in its order.
        cost: what it will take.
        wrong: what is wrong.
        start: the button.
    """

    persona: gr.Dropdown
    run: gr.Textbox
    proposed: gr.State
    fields: list[Any]
    cost: gr.HTML
    wrong: gr.HTML
    start: gr.Button


def build_form() -> Form:
    """Lay the form out."""
    gr.HTML(f"<h3>{say(zh='新的训练', en='A new training')}</h3>")
    persona = gr.Dropdown(
        [],
        label=say(zh="人设", en="Persona"),
        info=say(zh="训练用的是已经保存的人设", en="As it is saved in the tab Persona."),
        elem_id="train-persona",
    )
    run = gr.Textbox(
        label=say(zh="训练的名字", en="Name of the run"),
        info=say(zh="存在 runs/ 下的这个文件夹里", en="Its folder under runs/."),
        max_length=64,
    )
    base, bits = _base_choice(), _bits_choice()
    mix = _mix_choice()
    with gr.Accordion(say(zh="更多设置（不填就用默认）", en="More settings"), open=False):
        passes = _passes_choice()
        typed = [_typed(name, about) for name, about in _explained().items()]
    cost = gr.HTML(cost_panel(None), elem_id="train-cost")
    wrong = gr.HTML("", elem_id="train-wrong")
    button = gr.Button(say(zh="开始训练", en="Start"), variant="primary", elem_id="train-start")
    fields = [persona, run, base, bits, mix, passes, *typed]
    return Form(persona, run, gr.State(""), fields, cost, wrong, button)


def wire_cost(form: Form, tab: gr.Tab, workshop: Workshop) -> None:
    """Reckon the cost whenever something that changes it is changed."""
    reckoner = Reckoner(workshop)

    def reckon(*values: Any) -> Iterator[str]:
        yield from costs(workshop, reckoner, ordered(values))

    persona, _, base, bits, mix, passes, *typed = form.fields
    changed = [persona.change, base.change, bits.change, mix.change, passes.release]
    changed += [field.blur for field in typed] + [field.submit for field in typed]
    gr.on(
        [tab.select, *changed],
        reckon,
        form.fields,
        form.cost,
        trigger_mode="always_last",
        concurrency_limit=1,
        show_progress="hidden",
        api_visibility="private",
    )


def costs(workshop: Workshop, reckoner: Reckoner, order: Order) -> Iterator[str]:
    """Yield the panel of the cost, each time there is more to tell."""
    if not order.persona:
        yield cost_panel(None, _first_a_persona(workshop))
        return
    try:
        yield cost_panel(None, say(zh="估算要多久、多少内存…", en="reckoning time and memory…"))
        for told in reckoner.cost(prepare(workshop, order)):
            if isinstance(told, Cost):
                yield cost_panel(told)
            else:
                yield cost_panel(None, f"{told}…")
    except RensheError as error:
        yield faults_panel(error.faults)


def ordered(values: tuple[Any, ...]) -> Order:
    """Make an order of the form's values; an empty field is an empty text."""
    persona, run, base, bits, mix, passes, *typed = values
    steps, learning_rate, prefix, seed = (str(value or "") for value in typed)
    return Order(
        persona=str(persona or ""),
        run=str(run or "").strip(),
        base=str(base or ""),
        bits=str(bits or ""),
        mix=bool(mix),
        passes=int(passes or 1),
        steps=steps,
        learning_rate=learning_rate,
        prefix=prefix,
        seed=seed,
    )


def started(workshop: Workshop, jobs: Jobs, values: tuple[Any, ...]) -> tuple[str, list[Fault]]:
    """Start what the form asks for; returns the run, or what is wrong."""
    try:
        return start(workshop, jobs, ordered(values)).run, []
    except RensheError as error:
        return "", list(error.faults)


def persona_choices(workshop: Workshop) -> list[tuple[str, str]]:
    """Return the personas as (what they are called, id)."""
    return [(_called(workshop, name), name) for name in workshop.personas()]


def named(
    workshop: Workshop, jobs: Jobs, persona: str | None, run: str | None, last: str
) -> tuple[str, str]:
    """Return what the field of the name shall hold, and what was proposed last.

    A name that somebody typed stays.
    """
    run = run or ""  # of a page that is just being drawn there is none
    if run.strip() and run != last:
        return run, last
    name = proposed_name(workshop, jobs, persona) if persona else ""
    return name, name


def _called(workshop: Workshop, persona: str) -> str:
    name = name_of(workshop.persona_file(persona))
    return f"{name}（{persona}）" if name != persona else persona


def _first_a_persona(workshop: Workshop) -> str:
    if workshop.personas():
        return say(zh="先选一个人设。", en="Choose a persona first.")
    return say(
        zh="还没有人设：先去“人设”页写一个，再回来训练。",
        en="There is no persona yet: write one in the tab Persona, then come back.",
    )


# --- the fields ------------------------------------------------------------------------------


def _base_choice() -> gr.Radio:
    there = [base.name for base in installed()]
    choices = [
        (f"{base.name} · {base.title} · {base.languages} · {base.size / 1e6:.0f} MB", base.name)
        for base in installed()
    ]
    missing = [base for base in EMBEDDED if base.name not in there]
    told = say(
        zh="在它上面训练；它自己不变，学到的都在前缀里。",
        en="Trained on top of it: the base stays as it is, the prefix learns.",
    )
    told += "".join(
        say(zh=f" 还可以装 {base.name}：", en=f" To add {base.name}: ") + base.install
        for base in missing
    )
    return gr.Radio(
        choices,
        value=there[0] if there else None,
        label=say(zh="底座", en="Base"),
        info=told,
    )


def _bits_choice() -> gr.Radio:
    return gr.Radio(
        [
            (say(zh="8 位（推荐）", en="8 (recommended)"), "8"),
            (say(zh="4 位", en="4"), "4"),
            (say(zh="不量化", en="not quantized"), "none"),
        ],
        value="8",
        label=say(zh="底座的位数", en="Bits of the base"),
        info=say(
            zh="8 位和原样几乎一样好；4 位更省内存，小底座会变差；不量化最费内存。",
            en="8 is as good as the original; 4 takes less memory but harms a small base.",
        ),
    )


def _mix_choice() -> gr.Checkbox:
    return gr.Checkbox(
        False,
        label=say(zh="放进对话里教", en="Teach in conversations"),
        info=say(
            zh="在闲聊之后、露馅之后，用更多问法再问。聊久了更不容易忘；要多练几倍的时间。",
            en="Asked again after other talk, after slips, and in more wordings. It forgets less "
            "in a long talk, and takes several times as long.",
        ),
        elem_id="train-mix",
    )


def _passes_choice() -> gr.Slider:
    return gr.Slider(
        1,
        16,
        value=8,
        step=1,
        label=say(zh="每个问法教几遍", en="How often each wording is taught"),
        info=say(zh="只在“放进对话里教”时有用", en="For teaching in conversations only."),
    )


def _explained() -> dict[str, tuple[str, str]]:
    """Return what each typed field is for, and its default."""
    return {
        "steps": (
            say(
                zh="练多少步。默认：单句六遍，放进对话里一遍",
                en="Updates. By default six passes over single questions, one over conversations.",
            ),
            say(zh="自动", en="automatic"),
        ),
        "learning_rate": (
            say(
                zh="每步走多大，0 到 1。loss 乱跳就调小",
                en="How large each step is, 0 to 1. Lower it where the loss jumps.",
            ),
            "0.06",
        ),
        "prefix": (
            say(
                zh="前缀占多少个位置。越长学得越快，越慢也越费内存",
                en="Positions. More learn in fewer steps, and take more time and memory.",
            ),
            "256",
        ),
        "seed": (
            say(
                zh="换一个数，就换一批留作检验的问法和顺序",
                en="Another number keeps other wordings for the test, in another order.",
            ),
            "0",
        ),
    }


def _typed(name: str, about: tuple[str, str]) -> gr.Textbox:
    info, default = about
    return gr.Textbox(
        label=field_name(name),
        info=info,
        placeholder=default,
        max_lines=1,
        max_length=60,
        elem_id=f"train-{name}",
    )

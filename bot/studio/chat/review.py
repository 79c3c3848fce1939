"""Examples wait below the chat until a person accepts, changes or drops each of them."""

from __future__ import annotations

from html import escape
from typing import Any

import gradio as gr

from bot.studio.chat.chats import LONGEST
from bot.studio.chat.desk import ChatDesk
from bot.studio.chat.examples import MOST_ROUNDS, Example
from bot.studio.chat.view import fault_box
from trainer.errors import RensheError
from trainer.language import say

Updates = dict[Any, Any]


class Review:
    """The list of examples that wait.

    Args:
        desk: whose examples they are.
    """

    def __init__(self, desk: ChatDesk) -> None:
        self._desk = desk
        with gr.Accordion(_headline(0), open=False, elem_id="chat-review") as self.box:
            self.none = gr.Markdown(_nothing())
            with gr.Column(visible=False) as self.form:
                self.which = gr.Dropdown([], label=say(zh="例子", en="Example"))
                self.context = gr.HTML()
                self.rounds = gr.Slider(0, MOST_ROUNDS, 0, step=1, label=_rounds_label())
                self.user = gr.Textbox(
                    label=say(zh="对方说", en="The user says"), max_lines=6, max_length=LONGEST
                )
                self.right = gr.Textbox(
                    label=say(zh="它应该说", en="It should say"),
                    lines=2,
                    max_lines=8,
                    max_length=2 * LONGEST,
                )
                with gr.Row():
                    self.accept = gr.Button(
                        say(zh="写进人设", en="Write it into the persona"), variant="primary"
                    )
                    self.drop = gr.Button(say(zh="丢掉", en="Drop it"))
            self.faults = gr.HTML(visible=False)

    def outputs(self) -> list[Any]:
        """Return all that :meth:`refreshed` changes."""
        form = (self.which, self.context, self.rounds, self.user, self.right)
        return [self.box, self.none, self.form, *form, self.faults]

    def wire(self, own: dict[str, Any]) -> None:
        """Bind the handlers."""
        filled = [self.which, self.rounds, self.user, self.right]
        self.which.input(self._choose, [self.which], self.outputs(), **own)
        self.rounds.release(self._change, filled, [self.context, self.faults], **own)
        for text in (self.user, self.right):
            text.blur(self._change, filled, [self.context, self.faults], **own)
        self.accept.click(self._accept, filled, self.outputs(), **own)
        self.drop.click(self._drop, [self.which], self.outputs(), **own)

    def refreshed(self, wanted: str | None = None, *, kept: bool = False) -> Updates:
        """Return the list as it is now, with ``wanted`` shown, or else the oldest.

        Args:
            wanted: id of an example.
            kept: leave the form as it is while ``wanted`` waits; somebody may be typing.
        """
        waiting = self._desk.examples.waiting()
        updates: Updates = {
            self.box: gr.Accordion(label=_headline(len(waiting))),
            self.none: gr.Markdown(visible=not waiting),
            self.form: gr.Column(visible=bool(waiting)),
            self.faults: gr.HTML(value="", visible=False),
        }
        if not waiting:
            return updates
        one = next((each for each in waiting if each.id == wanted), waiting[0])
        choices = [(_title(each), each.id) for each in waiting]
        updates[self.which] = gr.Dropdown(choices=choices, value=one.id)
        if kept and one.id == wanted:
            return updates
        return {
            **updates,
            self.context: _context(one),
            self.rounds: gr.Slider(
                value=len(one.led),
                maximum=max(len(one.history), 1),
                visible=bool(one.history),
            ),
            self.user: one.user,
            self.right: one.right,
        }

    def _choose(self, id: str) -> Updates:
        return self.refreshed(id)

    def _change(self, id: str, rounds: float, user: str, right: str) -> Updates:
        """Keep what was typed; whether it will do is asked when it is accepted.

        That may be at the same moment (the click that leaves the field), and its answer may
        come first: so what was found wrong then is left standing.
        """
        if (one := self._filled(id, rounds, user, right)) is None:
            return {self.context: gr.skip()}
        try:
            self._desk.examples.change(one)
        except RensheError as error:
            return {self.faults: gr.HTML(fault_box(*error.faults), visible=True)}
        return {self.context: _context(one)}

    def _accept(self, id: str, rounds: float, user: str, right: str) -> Updates:
        one = self._filled(id, rounds, user, right)
        if one is None:  # another tab was quicker
            return self.refreshed()
        try:
            path = self._desk.examples.accept(one)
        except RensheError as error:
            return {self.faults: gr.HTML(fault_box(*error.faults), visible=True)}
        gr.Info(
            say(
                zh=f"写进 {path.name} 的 dialogues 了，下次训练就学会",
                en=f"written into the dialogues of {path.name}, to be learnt at the next training",
            )
        )
        return self.refreshed()

    def _drop(self, id: str) -> Updates:
        self._desk.examples.drop(id)
        return self.refreshed()

    def _filled(self, id: str, rounds: float, user: str, right: str) -> Example | None:
        """Return an example that waits as the form has it; none if it was decided on."""
        changed = {"rounds": int(rounds), "user": user, "right": right}
        waiting = self._desk.examples.waiting()
        return next((one.model_copy(update=changed) for one in waiting if one.id == id), None)


def _headline(waiting: int) -> str:
    return say(zh=f"等你过目的例子（{waiting}）", en=f"Examples to review ({waiting})")


def _nothing() -> str:
    return say(
        zh="回答不像它？点 👎，或用铅笔改成它该说的话：改好的会在这里等你过目，"
        "再写进人设，下次训练就学会。打开这个工作室的人都看得到这里。",
        en="A reply out of character? Click 👎, or edit it into what it should have said: it then "
        "waits here for your review, goes into the persona, and is learnt at the next training. "
        "Everyone who can open this studio sees this list.",
    )


def _rounds_label() -> str:
    return say(
        zh="带上前面几轮（里面它说的话也会学）", en="Earlier rounds to take along (learnt, too)"
    )


def _title(one: Example) -> str:
    text = " ".join(one.user.split())
    return f"{one.persona}：{text[:30]}{'…' if len(text) > 30 else ''}"


def _context(one: Example) -> str:
    """Return the rounds that are taken along, and what was answered, as HTML."""
    you, it = say(zh="对方", en="user"), escape(one.persona)
    lines = [
        f"<b>{who}</b> {escape(text)}"
        for user, bot in one.led
        for who, text in ((you, user), (it, bot))
    ]
    wrong = f"<b>{say(zh='它当时说', en='it said')}</b> <s>{escape(one.wrong)}</s>"
    return f"<div class='quoted'>{'<br>'.join([*lines, wrong])}</div>"

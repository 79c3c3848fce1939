"""``renshe.yaml`` itself on the page, for what the forms do not cover.

The editor knows which content it shows. When the file changes it follows, unless somebody
has typed: then it stays, and a save of it is refused until the file was read again. What
was typed is then among the versions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from bot.studio.bots.forms import QUIET, Common, refused
from bot.studio.bots.settings import LONGEST, Opened
from trainer.errors import RensheError
from trainer.language import say


@dataclass
class Editor:
    """The form's components.

    Attributes:
        text: what is typed.
        shown: the file as the editor last showed it.
        former: the choice of versions.
    """

    text: gr.Code
    shown: gr.State
    former: gr.Dropdown

    def all(self) -> list[Any]:
        """Return them in the order in which :func:`_drawn` sends theirs."""
        return [self.text, self.shown, self.former]


def file_form(common: Common) -> None:
    """Build the editor, its buttons and the former versions."""
    text = gr.Code(
        language="yaml", label="renshe.yaml", lines=18, interactive=True, elem_id="bots-file"
    )
    with gr.Row():
        done = gr.Button(
            say(zh="检查并保存", en="Check and save"), variant="primary", elem_id="bots-file-save"
        )
        again = gr.Button(say(zh="重新读取", en="Read again"), elem_id="bots-file-again")
    former = gr.Dropdown(
        label=say(zh="以前的版本", en="Former versions"),
        info=say(
            zh="选一个，放进上面的编辑框，检查后再保存",
            en="choose one to see it above; it counts once it is saved",
        ),
        elem_id="bots-versions",
    )
    _wire(common, Editor(text, gr.State(Opened()), former), done, again)


def _wire(common: Common, editor: Editor, done: gr.Button, again: gr.Button) -> None:
    desk_wide = [common.notice, common.seen, common.epoch]
    follow, inputs = partial(_follow, common), [common.seen, editor.text, editor.shown]
    common.seen.change(follow, inputs, editor.all(), **QUIET)
    again.click(
        partial(_again, common),
        [common.epoch, editor.text, editor.shown],
        [*desk_wide, *editor.all()],
        **QUIET,
    )
    editor.former.input(partial(_version, common), editor.former, editor.text, **QUIET)
    done.click(
        partial(_save, common),
        [common.epoch, editor.text, editor.shown],
        [*desk_wide, *editor.all()],
        **QUIET,
    )


def _follow(common: Common, seen: str, text: str | None, shown: Opened) -> tuple[Any, ...]:
    """Show the file as it is now, unless that is shown already or something was typed."""
    return _kept() if seen == shown.digest or _is_typed(text, shown) else _drawn(common)


def _again(common: Common, epoch: int, text: str | None, shown: Opened) -> tuple[Any, ...]:
    """Show the file as it is now; what was typed becomes a version."""
    file = common.desk.file
    try:
        if _is_typed(text, shown):
            file.keep_draft(_whole(text))
        return "", file.open().digest, epoch + 1, *_drawn(common)
    except RensheError as error:
        return refused(error), gr.skip(), gr.skip(), *_kept()


def _save(common: Common, epoch: int, text: str | None, shown: Opened) -> tuple[Any, ...]:
    save = partial(common.desk.file.save, _whole(text), shown.digest)
    notice, seen, is_saved = common.save(save, shown.digest)
    if not is_saved:
        return notice, gr.skip(), gr.skip(), *_kept()
    return notice, seen, epoch + 1, *_drawn(common)


def _version(common: Common, name: str | None) -> Any:
    for path in common.desk.file.versions():
        if path.stem == name:
            return path.read_text("utf-8")
    return gr.skip()


def _drawn(common: Common) -> tuple[Any, ...]:
    file = common.desk.file
    try:
        opened = file.open()
    except RensheError:
        return _kept()
    names = [path.stem for path in file.versions()]
    return opened.text, opened, gr.Dropdown(names, value=None)


def _kept() -> tuple[Any, ...]:
    return gr.skip(), gr.skip(), gr.skip()


def _is_typed(text: str | None, shown: Opened) -> bool:
    return bool(text) and _whole(text) != _whole(shown.text)


def _whole(text: str | None) -> str:
    """Return a text as a file has it, no longer than it takes to be refused."""
    return (text or "")[: LONGEST + 1].rstrip("\n") + "\n"

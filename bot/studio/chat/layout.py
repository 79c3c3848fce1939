"""Where everything stands in the tab Chat."""

from __future__ import annotations

from typing import Any

import gradio as gr

from bot.studio.chat.chats import LONGEST
from bot.studio.chat.desk import Shown
from bot.studio.chat.talks import MOST_SPEAKERS, How
from trainer.language import say

MOST_TOKENS = 512
"""Longest reply that can be asked for, in tokens."""


class Layout:
    """The components; whoever binds them names them.

    Args:
        tab: the tab that they stand in.
    """

    def __init__(self, tab: gr.Tab) -> None:
        # Nothing but a random secret is kept in the browser; a fixed key outlives a restart.
        self.secret = gr.BrowserState(None, storage_key="renshe-studio", secret="renshe-studio")
        self.shown = gr.State(Shown())
        self.how = gr.State(How())
        self.told = gr.HTML(visible=False)
        self._empty(tab)
        with gr.Row(elem_id="chat-room", visible=False) as self.room:
            with gr.Column(scale=1, min_width=190, elem_id="chat-side"):
                self._side()
            with gr.Column(scale=5, min_width=300, elem_id="chat-main"):
                self._talk()
                self._correct()
                self._settings()

    def outputs(self) -> list[Any]:
        """Return all that a handler may change."""
        return [
            *(self.secret, self.shown, self.told, self.empty, self.room),
            *(self.new, self.chats, self.delete, self.sure),
            *(self.speakers, *self.bots, self.message),
            *(self.correcting, self.wrong, self.wrong_text, self.right),
        ]

    def _empty(self, tab: gr.Tab) -> None:
        with gr.Column(visible=False, elem_id="chat-empty") as self.empty:
            gr.Markdown(
                say(
                    zh="### 还没有可以聊的人设\n"
                    "先在「人设」里写一个（可以从模板开始），再到「训练」里练几分钟，"
                    "练好以后它就在这里等你。",
                    en="### There is nobody to talk to yet\n"
                    "Write a persona under *Persona* (a template helps), tune it for a few "
                    "minutes under *Train*, and it will be waiting here.",
                )
            )
            with gr.Row():
                for name, label in (
                    ("persona", say(zh="去写人设", en="Write a persona")),
                    ("train", say(zh="去训练", en="Train one")),
                ):
                    variant = "primary" if name == "persona" else "secondary"
                    button = gr.Button(label, variant=variant)  # type: ignore[arg-type]
                    button.click(
                        lambda name=name: gr.Tabs(selected=name),
                        None,
                        tab.parent,
                        api_visibility="private",
                        show_progress="hidden",
                    )

    def _side(self) -> None:
        self.new = gr.Button(say(zh="＋ 新对话", en="＋ New chat"), variant="primary")
        self.chats = gr.Radio(
            [], label=say(zh="以前的对话", en="Earlier chats"), elem_id="chat-list"
        )
        self.delete = gr.Button(
            say(zh="删掉这段对话", en="Delete this chat"), size="sm", visible=False
        )
        with gr.Row(visible=False) as self.sure:
            self.really = gr.Button(
                say(zh="真的删掉", en="Really delete"), size="sm", variant="stop"
            )
            self.spare = gr.Button(say(zh="留着", en="Keep it"), size="sm")

    def _talk(self) -> None:
        self.speakers = gr.Dropdown(
            [],
            multiselect=True,
            max_choices=MOST_SPEAKERS,
            label=say(
                zh=f"谁来回答（最多 {MOST_SPEAKERS} 个）",
                en=f"Who answers ({MOST_SPEAKERS} at most)",
            ),
            elem_id="chat-speakers",
        )
        # What was sent leaves the box at once, in the browser, so that the next message can be
        # typed there and is not taken for sent when the server gets to it.
        self.sent = gr.Textbox(visible=False)
        with gr.Row(elem_id="chat-columns", equal_height=True):
            self.bots = [self._bot(index) for index in range(MOST_SPEAKERS)]
        self.message = gr.Textbox(
            show_label=False,
            placeholder=say(
                zh="说点什么（Shift+Enter 换行）", en="Say something (Shift+Enter for a new line)"
            ),
            lines=1,
            max_lines=6,
            max_length=LONGEST,
            submit_btn=True,
            autofocus=True,
            elem_id="chat-message",
        )

    def _bot(self, index: int) -> gr.Chatbot:
        return gr.Chatbot(
            height="min(58vh, 600px)",
            min_width=260,
            visible=index == 0,
            layout="bubble",
            editable="all",
            buttons=["copy"],
            feedback_options=("Dislike",),
            render_markdown=False,
            allow_tags=False,
            latex_delimiters=[],
            elem_classes="chat-column",
        )

    def _correct(self) -> None:
        self.wrong = gr.State(("", ""))
        with gr.Column(visible=False, elem_id="chat-correct") as self.correcting:
            self.wrong_text = gr.HTML()
            self.right = gr.Textbox(
                label=say(zh="它应该说什么？", en="What should it have said?"),
                lines=2,
                max_lines=8,
                max_length=2 * LONGEST,
            )
            with gr.Row():
                self.keep = gr.Button(
                    say(zh="记下来，等会儿过目", en="Note it for review"),
                    variant="primary",
                    size="sm",
                )
                self.never_mind = gr.Button(say(zh="算了", en="Never mind"), size="sm")

    def _settings(self) -> None:
        usual = How()
        with gr.Accordion(say(zh="怎么说话", en="How it talks"), open=False):
            with gr.Row():
                self.temperature = gr.Slider(
                    0,
                    2,
                    usual.temperature,
                    step=0.05,
                    label="temperature",
                    info=say(zh="0 每次说一样的话，越高越多变", en="0 always says the same"),
                )
                self.top_p = gr.Slider(
                    0.05,
                    1,
                    usual.top_p,
                    step=0.05,
                    label="top_p",
                    info=say(zh="只在最可能的这些词里选", en="only the likeliest words are drawn"),
                )
                self.length = gr.Slider(
                    16,
                    MOST_TOKENS,
                    usual.max_new_tokens,
                    step=16,
                    label="max_new_tokens",
                    info=say(zh="一次最多说多长", en="a reply is cut there"),
                )
            self.guarded = gr.Checkbox(
                usual.guarded,
                label=say(zh="露馅检查", en="Leak guard"),
                info=say(
                    zh="露馅的话不说出来，重说一次；底座不检查",
                    en="what betrays the base is drawn again; bases are shown as they are",
                ),
            )


CSS = """
/* Else the page is as wide as its longest line, and jumps while a reply grows. */
.gradio-container { width: 100% !important; }
#chat-side { gap: 0.6rem; }
#chat-list { max-height: 46vh; overflow-y: auto; }
#chat-list .wrap { flex-direction: column; flex-wrap: nowrap; gap: 0.25rem; }
#chat-list label { width: 100%; min-width: 0; padding: 0.35rem 0.6rem; box-shadow: none; }
#chat-list label span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
#chat-list input { flex: none; }
#chat-columns { gap: 0.6rem; align-items: stretch; }
/* One new chat is begun with a button; to empty a single column would mean nothing. */
.chat-column .icon-button-wrapper.top-panel { display: none; }
.chat-column .thought-group { border: 0; padding: 0; margin: 0.3rem 0 0; opacity: 0.7;
  font-size: var(--text-xs); background: none; }
.chat-column .message.thought .edit-textarea { display: none; }
.chat-column .edit-textarea { min-width: min(18rem, 60vw); }
.chat-column .bubble-wrap { padding-top: 2rem; }
.chat-column button.example { border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); }
.chat-column .message-content { white-space: pre-wrap; overflow-wrap: anywhere; }
#chat-correct, #chat-empty { border: 1px solid var(--border-color-primary);
  border-radius: var(--radius-lg); padding: 0.8rem; background: var(--block-background-fill); }
.quoted { border-left: 3px solid var(--border-color-accent); padding: 0 0.7rem;
  white-space: pre-wrap; overflow-wrap: anywhere; color: var(--body-text-color-subdued); }
.quoted b { font-weight: 600; color: var(--body-text-color); }
.faults { list-style: none; padding: 0.6rem 0.8rem; margin: 0; border-radius: var(--radius-md);
  background: var(--error-background-fill); color: var(--body-text-color);
  border: 1px solid var(--error-border-color); }
.faults .fix { opacity: 0.75; }
@media (max-width: 640px) {
  #chat-side { order: 2; }
  .chat-column { height: 52vh !important; }
}
"""

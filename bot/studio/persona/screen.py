"""What the Persona tab shows of a text: both sides, what is wrong, and whether it is saved."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import gradio as gr

from bot.studio.persona import view as view
from bot.studio.persona.advice import other_wordings
from bot.studio.persona.check import Checked, check_text
from bot.studio.persona.fields import shown
from bot.studio.persona.page import PersonaPage, Sheet, at
from bot.studio.persona.parts import Parts
from bot.studio.persona.place import History, Place
from trainer.errors import RensheError
from trainer.language import say

Updates = dict[Any, Any]
"""New values of components."""


class Screen:
    """Draws on the components of one built tab."""

    def __init__(self, page: PersonaPage, parts: Parts) -> None:
        self.page = page
        self.parts = parts

    def show(
        self,
        place: Place,
        text: str,
        history: History,
        token: str,
        *,
        form: bool = True,
        code: bool = True,
    ) -> Updates:
        """Return what shows a text, having kept it as a draft.

        Args:
            place: where the page stands.
            text: the persona's YAML.
            history: with ``text`` as its last.
            token: names the page.
            form: fill in the form, too; not while it is being filled in.
            code: show the YAML, too; not while it is being typed.
        """
        parts = self.parts
        checked = check_text(text)
        place = _within(place, checked)
        updates: Updates = {
            parts.place: place.sent(),
            parts.history: history,
            parts.status: view.status(checked, self._saved(place, token, text)),
            parts.faults: view.faults(checked, text),
            parts.next: gr.update(visible=False),
        }
        if code:
            updates[parts.code] = text
        if not checked.readable or checked.document is None:
            return {**updates, parts.notice: _locked(checked), **parts.form.locked()}
        updates |= {parts.notice: "", **self._tables(checked, place)}
        if form:
            updates |= parts.form.shows(shown(checked.document, place.fact, place.talk))
            updates[parts.form.wordings] = _wordings(checked, place.fact)
        return updates

    def _tables(self, checked: Checked, place: Place) -> Updates:
        form, document = self.parts.form, checked.document
        has_fact = document is not None and document.node("facts", place.fact) is not None
        has_talk = document is not None and document.node("dialogues", place.talk) is not None
        fact = checked.inside("facts", place.fact) if has_fact else []
        talk = checked.inside("dialogues", place.talk) if has_talk else []
        return {
            form.facts: view.facts_table(checked, place.fact),
            form.fact_faults: view.brief_faults(fact),
            form.talks: view.talks_list(checked, place.talk),
            form.talk_faults: view.brief_faults(talk),
        }

    def _saved(self, place: Place, token: str, text: str) -> str:
        try:
            unsaved = self.page.keep_draft(place, token, text)
        except RensheError as error:
            return f"<span class='error'>{say(zh='草稿没存上：', en='No draft: ')}</span>" + (
                view.error(error)
            )
        if unsaved and self.page.is_changed_elsewhere(place):
            warned = say(zh="⚠ 文件在别处被改过", en="⚠ The file was changed elsewhere")
            return f"<span class='warning'>{warned}</span>"
        if unsaved:
            return say(zh="● 未保存，草稿已存", en="● Not saved; draft kept")
        return say(zh="✓ 已保存", en="✓ Saved")

    def offers(self, sheet: Sheet) -> Updates:
        if not sheet.offers:
            return self.quiet()
        choices = [
            (f"{at(draft.when)} · {len(draft.text):,}", draft.page) for draft in sheet.offers
        ]
        return {
            **self.quiet(),
            self.parts.offer: gr.update(visible=True),
            **self.difference(sheet.place, choices[0][1]),
            self.parts.offer_choice: gr.update(
                choices=choices, value=choices[0][1], visible=len(choices) > 1
            ),
        }

    def difference(self, place: Place, owner: str) -> Updates:
        """Return what shows how a draft differs from the file."""
        drafts = {draft.page: draft for draft in self.page.drafts.all(place.id)}
        if owner not in drafts:
            return {}
        draft = drafts[owner]
        lead = say(
            zh=f"有一份没保存的草稿（{at(draft.when)}）：",
            en=f"There is an unsaved draft ({at(draft.when)}):",
        )
        told = view.difference(self.page.desk.open(place.id).text, draft.text.rstrip() + "\n")
        return {self.parts.offer_text: f"<p>{lead}</p>{told}"}

    def quiet(self) -> Updates:
        """Return what asks nothing any more."""
        return {
            self.parts.offer: gr.update(visible=False),
            self.parts.clash: gr.update(visible=False),
            self.parts.next: gr.update(visible=False),
            self.parts.conflict: "",
        }

    def choices(self, value: str | None) -> Updates:
        return {self.parts.choice: gr.update(choices=self.page.ids(), value=value)}


def _within(place: Place, checked: Checked) -> Place:
    """Return the place with a fact and a dialogue that exist, if any do."""
    if checked.document is None:
        return place
    facts = len(checked.document.members("facts"))
    talks = len(checked.document.members("dialogues"))
    return replace(
        place, fact=max(0, min(place.fact, facts - 1)), talk=max(0, min(place.talk, talks - 1))
    )


def _wordings(checked: Checked, index: int) -> str:
    persona = checked.persona
    if persona is None or index >= len(persona.facts):
        return ""
    return view.wordings(other_wordings(persona, persona.facts[index]))


def _locked(checked: Checked) -> str:
    first = checked.faults[0] if checked.faults else None
    line = first.line if first else 0
    problem = first.problem if first else ""
    text = say(
        zh=f"YAML 第 {line} 行读不懂（{problem}）。表单停在上一个读得懂的样子，改好就接着用；"
        "也可以点“撤销”。",
        en=f"Line {line} of the YAML cannot be read ({problem}). The form keeps the last good "
        "state until that is mended; or click Undo.",
    )
    return notice(escape(text))


def notice(html: str) -> str:
    """Draw what stands over a form that cannot be used now."""
    return f"<div class='notice locked' role='alert'>{html}</div>"

"""What the Persona tab does: each handler reads the page, and returns what changes on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import gradio as gr

from bot.studio.persona import view as view
from bot.studio.persona.advice import uncovered
from bot.studio.persona.check import check_text
from bot.studio.persona.desk import ChangedError
from bot.studio.persona.fields import NAMES, Fields
from bot.studio.persona.page import PersonaPage, received
from bot.studio.persona.parts import Parts
from bot.studio.persona.place import History, Place
from bot.studio.persona.screen import Screen, Updates, notice
from trainer.errors import RensheError, SourceError
from trainer.language import Language, say

Edit = Callable[[Place, str], tuple[Place, str]]


def told(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Show a user's mistake on the page instead of raising it; nothing else changes then."""

    @wraps(handler)
    def telling(*all: Any) -> Any:
        try:
            return handler(*all) or gr.skip()
        except RensheError as error:
            gr.Warning(view.error(error), duration=12)
            return gr.skip()

    return telling


class Editor:
    """The handlers of one built tab."""

    def __init__(self, page: PersonaPage, parts: Parts, outputs: list[Any]) -> None:
        self.page = page
        self.parts = parts
        self.screen = Screen(page, parts)
        self.outputs = outputs

    # --- coming and going -------------------------------------------------------------------

    def arrive(self, request: gr.Request, sent: str, chosen: str | None) -> Updates:
        """Come to the tab: list what there is, and open the first if nothing is open."""
        place = Place.received(sent)
        ids = self.page.ids()
        if place.id:
            return {self.parts.choice: gr.update(choices=ids, value=place.id)}
        if not ids:
            return {self.parts.welcome: gr.update(visible=True), **self.screen.choices(None)}
        try:
            return self.open(request, chosen if chosen in ids else ids[0])
        except RensheError as error:  # one broken file must not hide the others
            gr.Warning(view.error(error))
            return {self.parts.welcome: gr.update(visible=True), **self.screen.choices(None)}

    def open(self, request: gr.Request, name: str) -> Updates:
        """Open a persona; offer the drafts that were left of it."""
        if not name:
            return {}
        sheet = self.page.open(name, _token(request))
        return {
            **self.screen.show(sheet.place, sheet.text, History((sheet.text,)), _token(request)),
            **self.screen.offers(sheet),
            **self.screen.choices(name),
            self.parts.welcome: gr.update(visible=False),
            self.parts.desk: gr.update(visible=True),
            self.parts.undo: gr.update(visible=True),
            self.parts.save: gr.update(visible=True),
        }

    def begin(self) -> Updates:
        """Show how a persona begins."""
        return {self.parts.welcome: gr.update(visible=True)}

    def create(self, request: gr.Request, name: str, language: Language) -> Updates:
        """Begin a persona from the template."""
        stem = self.page.create(name or "", "en" if language == "en" else "zh")
        return {**self.open(request, stem), self.parts.new_name: ""}

    def copy(self, request: gr.Request, stem: str) -> Updates:
        """Begin with a copy of a shipped persona."""
        return self.open(request, self.page.copy_example(stem))

    def delete(self, request: gr.Request, sent: str) -> Updates:
        """Delete the persona that is shown, and open another, or show how one begins."""
        place = Place.received(sent)
        if not place.id:
            return {}
        self.page.delete(place)
        gr.Info(
            say(
                zh=f"删掉了。再建一个叫 {place.id} 的，“版本”里就能找回来",
                en=f"Deleted. Make one called {place.id} again, and it is among its versions",
            ),
            duration=8,
        )
        parts = self.parts
        gone = [parts.desk, parts.undo, parts.save]
        return {
            **self.screen.quiet(),
            parts.place: Place().sent(),
            **dict.fromkeys(gone, gr.update(visible=False)),
            **self.arrive(request, "", None),
        }

    def take_draft(self, request: gr.Request, owner: str, history: History, sent: str) -> Updates:
        """Go on with a draft."""
        sheet = self.page.take_draft(Place.received(sent), _token(request), owner or "")
        history = history.then(sheet.text, "", time.monotonic())
        return {
            **self.screen.show(sheet.place, sheet.text, history, _token(request)),
            **self.screen.quiet(),
        }

    def look_at_draft(self, owner: str, sent: str) -> Updates:
        """Show how another of the drafts differs from the file."""
        return self.screen.difference(Place.received(sent), owner)

    def drop_draft(self, owner: str, sent: str) -> Updates:
        """Forget a draft; its text is kept as a version, for it was somebody's work."""
        place = Place.received(sent)
        found = [draft for draft in self.page.drafts.all(place.id) if draft.page == owner]
        for draft in found:
            self.page.desk.keep_version(place.id, draft.text)
            self.page.drafts.drop(place.id, draft.page)
        return self.screen.quiet()

    # --- the two sides ----------------------------------------------------------------------

    def typed(self, request: gr.Request, sent: str, _: str, history: History, *all: Any) -> Updates:
        """Follow the YAML while it is typed."""
        place = Place.received(sent)
        if not place.id:
            return {}
        try:
            text = received(all[0])
        except RensheError as error:
            return {self.parts.notice: notice(view.error(error)), **self.parts.form.locked()}
        # One step of undo leads from a broken text to the last that could be read.
        side = "yaml" if check_text(text).readable else "broken"
        history = history.then(text, side, time.monotonic())
        return self.screen.show(place, text, history, _token(request), code=False)

    def filled(
        self, request: gr.Request, sent: str, _: str, history: History, *all: Any
    ) -> Updates:
        """Follow the form while it is filled in."""
        place = Place.received(sent)
        if not place.id:
            return {}
        text = self.page.merged(place, "form", all[0], _fields(all))
        history = history.then(text, "form", time.monotonic())
        return self.screen.show(place, text, history, _token(request), form=False)

    def edit(self, change: Edit) -> Callable[..., Any]:
        """Return a handler that makes a change of its own to what the user sees."""

        @told
        def handler(
            request: gr.Request, sent: str, side: str, history: History, *all: Any
        ) -> Updates:
            return self.changed(request, change, sent, side, history, *all)

        return handler

    def chosen(self, change: Callable[[Place, str, dict[str, str]], tuple[Place, str]]) -> Any:
        """Return a handler like :meth:`edit`'s that is told which row or chip was clicked."""

        def handler(
            event: gr.EventData,
            request: gr.Request,
            sent: str,
            side: str,
            history: History,
            *all: Any,
        ) -> Updates:
            data = {key: str(value) for key, value in (event._data or {}).items()}

            def with_data(place: Place, text: str) -> tuple[Place, str]:
                return change(place, text, data)

            return self.changed(request, with_data, sent, side, history, *all)

        return told(handler)

    def undo(
        self, request: gr.Request, sent: str, side: str, history: History, *all: Any
    ) -> Updates:
        """Take back the last step."""
        place = Place.received(sent)
        current = received(all[0])
        if history.texts and current != history.texts[-1]:
            history = history.then(current, "", 0.0)
        if len(history.texts) < 2 or not place.id:
            gr.Info(say(zh="没有可以撤销的了", en="There is nothing to undo"))
            return {}
        history = history.undone()
        return self.screen.show(place, history.texts[-1], history, _token(request))

    def changed(
        self,
        request: gr.Request,
        change: Edit,
        sent: str,
        side: str,
        history: History,
        *all: Any,
    ) -> Updates:
        """Make a change to what the user sees; undo takes it back as one step."""
        place = Place.received(sent)
        if not place.id:
            return {}
        now = self.page.merged(place, side, all[0], _fields(all))
        history = history.then(now, "", time.monotonic())
        place, text = change(place, now)
        history = history.then(text, "", time.monotonic())
        same = text == all[0]
        return self.screen.show(place, text, history, _token(request), code=not same)

    # --- saving -----------------------------------------------------------------------------

    def save(
        self, request: gr.Request, sent: str, side: str, history: History, *all: Any
    ) -> Updates:
        """Save what the user sees."""
        return self._save(request, Place.received(sent), side, history, all, None)

    def keep_mine(
        self,
        request: gr.Request,
        conflict: str,
        sent: str,
        side: str,
        history: History,
        *all: Any,
    ) -> Updates:
        """Save over what somebody else wrote, once it was seen."""
        return self._save(request, Place.received(sent), side, history, all, conflict)

    def take_theirs(
        self, request: gr.Request, sent: str, side: str, history: History, *all: Any
    ) -> Updates:
        """Let go of the user's text for what the file holds now."""
        place = Place.received(sent)
        mine = self.page.merged(place, side, all[0], _fields(all))
        sheet = self.page.take_theirs(place, _token(request), mine)
        history = history.then(mine, "", 0.0).then(sheet.text, "", time.monotonic())
        gr.Info(say(zh="你的那份在“版本”里", en="Yours is among the versions"))
        return {
            **self.screen.show(sheet.place, sheet.text, history, _token(request)),
            **self.screen.quiet(),
        }

    def _save(
        self,
        request: gr.Request,
        place: Place,
        side: str,
        history: History,
        all: Sequence[Any],
        over: str | None,
    ) -> Updates:
        if not place.id:
            return {}
        text = self.page.merged(place, side, all[0], _fields(all))
        try:
            place = self.page.save(place, _token(request), text, over)
        except ChangedError as error:
            return self._clash(error, text)
        except SourceError as error:
            return self._unsound(error, self.screen.show(place, text, history, _token(request)))
        history = history.then(text, "", time.monotonic())
        gr.Info(say(zh="保存好了", en="Saved"), duration=3)
        return {
            **self.screen.show(place, text, history, _token(request), code=text != all[0]),
            **self.screen.quiet(),
            **self.screen.choices(place.id),
            self.parts.next: gr.update(visible=True),
        }

    def _clash(self, error: ChangedError, mine: str) -> Updates:
        told_now = view.error(error) + view.difference(error.theirs.text, mine.rstrip() + "\n")
        legend = say(zh="− 文件里的，＋ 你的", en="− theirs, ＋ yours")
        return {
            self.parts.clash: gr.update(visible=True),
            self.parts.clash_text: f"{told_now}<p class='lead'>{legend}</p>",
            self.parts.conflict: error.theirs.digest,
        }

    def _unsound(self, error: SourceError, updates: Updates) -> Updates:
        count = len(error.faults)
        headline = say(
            zh=f"有 {count} 个错误，先存成了草稿",
            en=f"Kept as a draft: {count} error{'s' * (count > 1)} to mend first",
        )
        gr.Warning(view.error(error, headline), duration=12)
        return updates

    # --- help -------------------------------------------------------------------------------

    def missing(self, code: str) -> Updates:
        """Show what a persona lacks."""
        persona = check_text(received(code)).persona
        if persona is None:
            wait = say(zh="先改好错误再看", en="Mend the errors first")
            return {self.parts.missing: f"<p class='none'>{wait}</p>"}
        return {self.parts.missing: view.missing(uncovered(persona))}


def _fields(all: Iterable[Any]) -> Fields:
    values = list(all)[1 : 1 + len(NAMES)]
    return Fields(**{name: str(value or "") for name, value in zip(NAMES, values, strict=True)})


def _token(request: gr.Request) -> str:
    return str(request.session_hash or "page")

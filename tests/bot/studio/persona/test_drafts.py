"""What was typed survives the page, and pages do not overwrite each other's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.studio.persona import drafts as module
from bot.studio.persona.drafts import Drafts
from bot.studio.workshop import Workshop
from trainer.errors import RensheError


@pytest.fixture
def drafts(workshop: Workshop) -> Drafts:
    moments = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=i) for i in range(999))
    return Drafts(workshop, lambda: next(moments))


def test_a_draft_is_there_after_the_page_is_gone(drafts: Drafts, workshop: Workshop) -> None:
    drafts.keep("lin", "one", "name: [broken 雪\n", "abc")
    drafts.keep("lin", "one", "name: [broken 雪雪\n", "abc")
    [draft] = Drafts(workshop).all("lin")
    assert (draft.page, draft.text, draft.base) == ("one", "name: [broken 雪雪\n", "abc")
    assert draft.when == datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)


def test_two_pages_have_two_drafts(drafts: Drafts) -> None:
    drafts.keep("lin", "one", "1", "")
    drafts.keep("lin", "two", "2", "")
    drafts.keep("lou", "one", "3", "")
    assert [draft.text for draft in drafts.all("lin")] == ["2", "1"]
    drafts.drop("lin", "two")
    assert [draft.text for draft in drafts.all("lin")] == ["1"]
    assert drafts.get("lin", "two") is None
    assert drafts.personas() == ["lin", "lou"]


def test_the_oldest_go(drafts: Drafts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 2)
    for number in range(4):
        drafts.keep("lin", f"p{number}", str(number), "")
    assert [draft.text for draft in drafts.all("lin")] == ["3", "2"]


def test_a_damaged_draft_hides_no_other(drafts: Drafts, workshop: Workshop) -> None:
    drafts.keep("lin", "one", "1", "")
    folder = workshop.own / "drafts" / "lin"
    for name, content in (("a", "{"), ("b", "[]"), ("c", '{"page": "c"}')):
        (folder / f"{name}.json").write_text(content, "utf-8")
    assert [draft.text for draft in drafts.all("lin")] == ["1"]


def test_what_is_no_id_reaches_no_file(drafts: Drafts) -> None:
    with pytest.raises(RensheError):
        drafts.keep("../x", "one", "1", "")
    with pytest.raises(ValueError, match="no page"):
        drafts.keep("lin", "../../x", "1", "")

"""The Persona tab in a browser: from an empty project to a saved persona, and what goes wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bot.studio.workshop import Workshop
from trainer.templates import new_persona

pytestmark = pytest.mark.browser  # the address before the tab: the browser is closed first

PASTED = (
    "Crane: Is the shop open?\nLin: For you, always.\n\nCrane: And now?\nLin: Now too, you know."
)


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect

    expect.set_options(timeout=15_000)  # several browsers may share two cores
    return expect(locator)


def come(tab: Any, address: str) -> None:
    tab.goto(address)
    tab.get_by_role("tab", name="Persona").click()


def open_lin(tab: Any, address: str) -> None:
    come(tab, address)
    expect(tab.locator("#persona-status")).to_contain_text("Saved")


def write(tab: Any, text: str) -> None:
    """Type at the end of the YAML."""
    tab.locator("#persona-yaml .cm-content").click()
    tab.keyboard.press("Control+End")
    tab.keyboard.insert_text(text)


def yaml(tab: Any) -> str:
    """The whole YAML: the editor draws only what is in sight."""
    script = "document.querySelector('#persona-yaml .cm-content').cmTile.view.state.doc.toString()"
    return str(tab.evaluate(script))


def test_from_nothing_to_a_saved_persona(studio_address: str, tab: Any, workshop: Workshop) -> None:
    come(tab, studio_address)
    tab.locator("#persona-new-name textarea, #persona-new-name input").fill("Lin")
    tab.locator("#persona-create").click()
    expect(tab.locator("#persona-status")).to_contain_text("3 facts")
    file = workshop.persona_file("lin")
    assert file.read_text("utf-8") == new_persona("Lin", "en")

    # The form reaches the YAML, comments and all.
    tab.locator("#persona-summary textarea").fill("Lin mends clocks by the sea.")
    expect(tab.locator("#persona-status")).to_contain_text("Not saved")
    assert "summary: 'Lin mends clocks by the sea.'" in yaml(tab)
    assert "# Whole conversations: user begins" in yaml(tab)
    # The YAML reaches the form.
    write(tab, "\nlorebook:\n- keys: [lamp]\n  content: It burns.")
    tab.get_by_role("tab", name="Guard").click()
    expect(tab.get_by_label("Lorebook")).to_have_value("lamp = It burns.")

    # A syntax error is marked, and the form keeps the last good state.
    write(tab, "\nfacts: [")
    expect(tab.locator("#persona-notice")).to_contain_text("cannot be read")
    expect(tab.get_by_label("Lorebook")).to_have_value("lamp = It burns.")
    expect(tab.get_by_label("Lorebook")).to_be_disabled()
    expect(tab.locator("#persona-yaml .cm-gutterElement.has-error")).to_have_count(1)
    tab.locator("#persona-save").click()
    expect(tab.get_by_text("Kept as a draft: 1 error to mend first")).to_be_visible()
    assert file.read_text("utf-8") == new_persona("Lin", "en")

    # Undo mends it; then it is saved, and the former content is a version.
    tab.locator("#persona-undo").click()
    expect(tab.get_by_label("Lorebook")).to_be_enabled()
    tab.locator("#persona-save").click()
    expect(tab.locator("#persona-next")).to_contain_text("teach it on the Train tab")
    saved = file.read_text("utf-8")
    assert "mends clocks" in saved
    assert saved.endswith("content: It burns.\n")
    tab.get_by_role("tab", name="Versions").click()
    expect(tab.locator("#persona-version-diff")).to_contain_text("second-hand bookshop")
    tab.locator("#persona-restore").click()
    expect(tab.locator("#persona-status")).to_contain_text("Not saved")
    assert yaml(tab) == new_persona("Lin", "en").strip()

    # It is deleted, and with it what was not saved.
    tab.locator("#persona-delete").click()
    tab.get_by_role("button", name="Really delete").click()
    expect(tab.locator("#persona-create")).to_be_visible()
    expect(tab.locator("#persona-yaml")).to_be_hidden()
    assert workshop.personas() == []


def test_facts_and_dialogues_without_yaml(
    studio_address: str, tab: Any, workshop: Workshop
) -> None:
    workshop.persona_file("lin").write_text(new_persona("Lin", "en"), "utf-8")
    open_lin(tab, studio_address)
    tab.get_by_role("tab", name="Facts").click()
    tab.get_by_role("button", name="likes", exact=True).click()
    expect(tab.locator("#persona-fact-id textarea, #persona-fact-id input")).to_have_value("likes")
    answer = tab.locator("#persona-answer textarea")
    answer.fill("Snow, you know.")
    expect(tab.locator("#persona-fact-faults")).to_contain_text("does not match its own expect")
    tab.get_by_label("A right answer holds").fill("snow|rain")
    expect(tab.locator("#persona-fact-faults")).not_to_contain_text("does not match")
    tab.get_by_role("button", name="home", exact=True).click()
    tab.locator("#persona-wordings button").first.click()
    expect(tab.locator("#persona-status")).to_contain_text("11 wordings")

    tab.get_by_role("tab", name="What is missing").click()
    tab.locator("#persona-missing [data-intent=birthday]").click()
    expect(tab.locator("#persona-facts tr[aria-current]")).to_contain_text("birthday")
    answer.fill("On the second of May.")
    tab.get_by_label("A right answer holds").fill("May")
    expect(tab.locator("#persona-status")).to_contain_text("4 facts")
    expect(tab.locator("#persona-status")).to_contain_text("ready to train")

    tab.locator("#persona-pasted textarea").fill(PASTED)
    tab.locator("#persona-read").click()
    expect(tab.get_by_label("Lin（2）")).to_be_checked()
    expect(tab.locator("#persona-review .bot")).to_have_count(2)
    tab.locator("#persona-add-pasted").click()
    expect(tab.locator("#persona-status")).to_contain_text("3 dialogues")
    expect(tab.locator("#persona-talk textarea")).to_have_value(
        "User: Is the shop open?\nBot: For you, always."
    )
    tab.get_by_role("tab", name="What will be taught").click()
    expect(tab.locator("#persona-examples .bot").first).to_be_visible(timeout=15_000)
    tab.locator("#persona-save").click()
    expect(tab.locator("#persona-next")).to_be_visible()
    saved = workshop.persona_file("lin").read_text("utf-8")
    assert re.search(r"- id: birthday\n    ask:\n(      - .+\n){4}    answer:\n", saved)
    assert "- user: And now?\n    - bot: Now too, you know.\n" in saved

    # Train begins with this persona, not with the first.
    workshop.persona_file("anna").write_text(new_persona("Anna", "en"), "utf-8")
    tab.locator("#persona-next button").click()
    expect(tab.get_by_role("tab", name="Train", selected=True)).to_be_visible()
    expect(tab.locator("#train-persona input")).to_have_value("Lin（lin）")


def test_two_tabs_and_a_closed_one(studio_address: str, tab: Any, workshop: Workshop) -> None:
    file = workshop.persona_file("lin")
    file.write_text(new_persona("Lin", "en"), "utf-8")
    open_lin(tab, studio_address)
    other = tab.context.browser.new_page()
    open_lin(other, studio_address)
    write(tab, "\n# of the first")
    expect(tab.locator("#persona-status")).to_contain_text("draft kept")
    write(other, "\n# of the second")
    expect(other.locator("#persona-status")).to_contain_text("draft kept")
    tab.locator("#persona-save").click()
    expect(tab.locator("#persona-next")).to_be_visible()
    other.locator("#persona-save").click()
    expect(other.locator("#persona-clash")).to_contain_text("changed elsewhere")
    assert file.read_text("utf-8").endswith("# of the first\n")

    # The second closes without a choice; whoever returns is offered what was typed.
    other.close()
    tab.reload()
    tab.get_by_role("tab", name="Persona").click()
    expect(tab.locator("#persona-offer")).to_contain_text("# of the second")
    tab.get_by_role("button", name="Go on with the draft").click()
    expect(tab.locator("#persona-status")).to_contain_text("changed elsewhere")
    tab.locator("#persona-save").click()
    tab.get_by_role("button", name="Keep mine").click()
    expect(tab.locator("#persona-next")).to_be_visible()
    assert file.read_text("utf-8").endswith("# of the second\n")
    tab.get_by_role("tab", name="Versions").click()
    expect(tab.locator("#persona-version-diff")).to_contain_text("# of the first")

"""Plugins as the page shows and changes them, without a page."""

from pathlib import Path

import pytest

pytest.importorskip("sqlite_utils")

from bot.studio.bots.plugins import Card, Field, plugin_cards, save_plugin
from bot.studio.bots.settings import SettingsFile
from trainer.errors import RensheError
from trainer.language import use

TEXT = """personas: {snow: {echo: {persona: snow.yaml}}}
adapters:
  onebot_v11: [{port: 0}]  # NapCat
plugins:
  folder: own
  settings:
    greet: {at: ["08:30"]}  # mine
"""
EVERYTHING = '''"""Has a setting of every kind."""

from typing import Literal

from bot.plugin import Settings, on_command


class Own(Settings):
    """All kinds."""

    word: str = "x"
    """A word."""
    number: int = 3
    share: float = 0.5
    on: bool = False
    mode: Literal["fast", "slow"] = "fast"
    names: list[str] = []
    table: dict[str, int] = {}
    maybe: str | None = None


@on_command("everything")
async def everything(settings: Own) -> str:
    """Say something."""
    return settings.word
'''


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "everything.py").write_text(EVERYTHING, encoding="utf-8")
    (tmp_path / "renshe.yaml").write_text(TEXT, encoding="utf-8")
    return SettingsFile(tmp_path / "renshe.yaml", tmp_path / "versions")


def card(file: SettingsFile, name: str) -> Card:
    return next(card for card in plugin_cards(file.read()) if card.name == name)


def test_every_kind_of_setting_has_its_input(file: SettingsFile) -> None:
    found = card(file, "everything")
    assert found.about == "Has a setting of every kind." and not found.bundled
    assert {field.name: field.kind for field in found.fields} == {
        "word": "text",
        "number": "integer",
        "share": "number",
        "on": "switch",
        "mode": "choice",
        "names": "lines",
        "table": "yaml",
        "maybe": "yaml",
    }
    assert found.fields[0].about == "A word." and found.fields[4].choices == ("fast", "slow")


def test_bundled_plugins_say_what_they_do_in_both_languages(file: SettingsFile) -> None:
    english = {card.name: card for card in plugin_cards(file.read()) if card.bundled}
    use("zh")
    for found in plugin_cards(file.read()):
        if found.bundled:
            other = english[found.name]
            assert found.about and found.about != other.about
            for field, same in zip(found.fields, other.fields, strict=True):
                assert field.about and field.about != same.about, (found.name, field.name)


def test_only_what_was_changed_is_written(file: SettingsFile) -> None:
    values = {field.name: field.value for field in card(file, "greet").fields}
    seen = file.open().digest
    assert save_plugin(file, seen, "greet", True, values).text == TEXT
    seen = file.open().digest
    saved = save_plugin(file, seen, "greet", True, {**values, "chance": 0.5, "lines": "a\n b \n"})
    assert 'greet: {at: ["08:30"], chance: 0.5, lines: [a, b]}' in saved.text
    assert "# NapCat" in saved.text and "# mine" in saved.text


def test_values_of_every_kind_come_back_as_they_were_filled_in(file: SettingsFile) -> None:
    filled = {
        "word": "12",
        "number": 7.0,
        "share": 0.25,
        "on": True,
        "mode": "slow",
        "names": "甲\n乙: 丙",
        "table": "a: 1\nb: 2",
        "maybe": "yes please",
    }
    save_plugin(file, file.open().digest, "everything", True, filled)
    shown = {field.name: field.value for field in card(file, "everything").fields}
    assert shown == {**filled, "number": 7}


def test_a_plugin_is_switched_off_and_on(file: SettingsFile) -> None:
    off = save_plugin(file, file.open().digest, "help", False, {})
    assert file.read().plugins.disabled == ("help",) and not card(file, "help").enabled
    on = save_plugin(file, off.digest, "help", True, {})
    assert file.read().plugins.disabled == () and on.text == TEXT


@pytest.mark.parametrize("enabled", [True, False])
def test_a_wrong_value_is_named_after_its_input(file: SettingsFile, enabled: bool) -> None:
    values = {"most": 99, "length": 3.5}
    with pytest.raises(RensheError) as caught:
        save_plugin(file, file.open().digest, "remember", enabled, values)
    told = [fault.problem for fault in caught.value.faults]
    assert told[0].startswith("most: ") and told[1].startswith("length: ")
    assert file.open().text == TEXT
    with pytest.raises(RensheError, match="table is no YAML"):
        save_plugin(file, file.open().digest, "everything", True, {"table": "{"})


def test_a_file_that_changed_meanwhile_is_not_overwritten(file: SettingsFile) -> None:
    seen = file.open().digest
    file.path.write_text(TEXT + "# theirs\n", encoding="utf-8")
    with pytest.raises(RensheError, match="changed elsewhere"):
        save_plugin(file, seen, "help", False, {})


def test_a_plugin_that_cannot_be_read_says_why_and_can_be_switched_off(
    file: SettingsFile, tmp_path: Path
) -> None:
    (tmp_path / "own" / "broken.py").write_text("import nothing_like_this\n")
    found = card(file, "broken")
    assert "nothing_like_this" in found.fault and found.enabled
    save_plugin(file, file.open().digest, "broken", False, {})
    assert file.read().plugins.disabled == ("broken",)


def test_a_field_without_a_default_can_be_filled_in(file: SettingsFile, tmp_path: Path) -> None:
    (tmp_path / "own" / "needs.py").write_text(
        EVERYTHING.replace('word: str = "x"', "word: str").replace('"everything"', '"needs"')
    )
    found = card(file, "needs")
    assert found.fields[0] == Field("word", "text", "", "A word.", required=True)
    with pytest.raises(RensheError, match="word"):
        save_plugin(file, file.open().digest, "needs", True, {"word": ""})
    save_plugin(file, file.open().digest, "needs", True, {"word": "hello"})
    assert file.read().plugins.settings["needs"] == {"word": "hello"}

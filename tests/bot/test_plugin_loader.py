import json
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bot.config import Plugins
from bot.errors import PluginError
from bot.plugin_loader import Source, find_plugins, read_plugin
from bot.plugin_set import read_plugins
from trainer.strict_yaml import Document, read_document

GOOD = '''"""Says pong.

More of it.
"""
from bot.plugin import Arguments, Settings, on_command


class Pong(Settings):
    word: str = "pong"


@on_command("ping", "p")
async def ping(arguments: Arguments, pong: Pong) -> str:
    return pong.word
'''


def source(folder: Path, text: str, name: str = "ping") -> Source:
    path = folder / f"{name}.py"
    path.write_text(text)
    return Source(name, path)


def settings(text: str) -> Document:
    document, faults = read_document(text, Path("renshe.yaml"))
    assert document is not None and not faults
    return document


def test_a_plugin_is_read(tmp_path: Path) -> None:
    plugin = read_plugin(source(tmp_path, GOOD), settings("word: pang"))
    assert (plugin.name, plugin.about) == ("ping", "Says pong.")
    (handler,) = plugin.handlers
    assert handler.mark.names == ("ping", "p") and set(handler.wants) == {"arguments", "pong"}
    assert plugin.settings is not None and plugin.settings.model_dump() == {"word": "pang"}


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("x = 1\ndef broken(:\n", 2, "invalid syntax"),
        ("import os\nimport no_such_module_at_all\n", 2, "no_such_module_at_all"),
        ("1 / 0\n", 1, "ZeroDivisionError"),
        ("x = 1\n", 0, "no function in it is marked"),
        (GOOD.replace("arguments: Arguments", "arguments: int"), 12, "arguments of ping needs"),
        (GOOD.replace("arguments: Arguments", "arguments: Nowhere"), 13, "Nowhere"),
        (GOOD.replace("arguments: Arguments", "arguments: 'Nowhere'"), 12, "Nowhere"),
        (GOOD.replace("arguments: Arguments", "arguments"), 12, "arguments of ping needs"),
        ("from bot.plugin import every\n\n@every(0)\ndef f(): ...\n", 3, "must be more than 0"),
        ("from bot.plugin import daily\n@daily('25:00')\ndef f(): ...\n", 2, "HH:MM"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, told: str) -> None:
    with pytest.raises(PluginError, match=told) as raised:
        read_plugin(source(tmp_path, text))
    (fault,) = raised.value.faults
    assert fault.path == tmp_path / "ping.py" and fault.line == line and fault.fix


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [("wrd: x", "renshe.yaml:1:1", "did you mean word"), ("word: [1]", "renshe.yaml:1:7", "text")],
)
def test_wrong_settings_have_a_place(tmp_path: Path, text: str, place: str, told: str) -> None:
    with pytest.raises(PluginError, match=told) as raised:
        read_plugin(source(tmp_path, GOOD), settings(text))
    assert raised.value.faults[0].place == place


def test_missing_and_superfluous_settings_are_told(tmp_path: Path) -> None:
    required = GOOD.replace('word: str = "pong"', "word: str")
    with pytest.raises(PluginError, match="needs the setting word"):
        read_plugin(source(tmp_path, required))
    without = "from bot.plugin import on_command\n@on_command('x')\ndef f() -> str: return 'x'\n"
    with pytest.raises(PluginError, match="has no settings"):
        read_plugin(source(tmp_path, without), settings("word: x"))


def test_reading_again_reads_what_is_there_now(tmp_path: Path) -> None:
    one = read_plugin(source(tmp_path, GOOD))
    two = read_plugin(source(tmp_path, GOOD.replace('"pong"', '"pang"')))
    assert one.settings is not None and one.settings.model_dump() == {"word": "pong"}
    assert two.settings is not None and two.settings.model_dump() == {"word": "pang"}


def test_one_bad_file_leaves_the_others(tmp_path: Path) -> None:
    source(tmp_path, GOOD)
    source(tmp_path, "def broken(:\n", "broken")
    source(tmp_path, GOOD.replace('"ping", "p"', '"other", "P"'), "second")
    source(tmp_path, GOOD, "_private")
    document = settings(json.dumps({"plugins": {"settings": {"pign": {}}}}))
    asked = Plugins(folder=tmp_path, disabled=("gone",), settings={"pign": {}})
    read = read_plugins(asked, document)
    names, faults = [plugin.name for plugin in read.plugins], read.faults
    assert "ping" in names and "help" in names and "broken" not in names
    told = "\n".join(map(str, faults))
    assert "broken.py:1" in told and "there is no plugin pign" in told and "gone" in told
    assert "second.py: plugin second: p is taken by plugin ping" in told and len(faults) == 4


def test_the_bundled_plugins_are_all_right() -> None:
    read = read_plugins(Plugins(), None)
    assert not read.faults
    assert [plugin.name for plugin in read.plugins] == [
        *("correct", "greet", "help", "persona", "remember", "session", "status")
    ]
    assert all(plugin.about for plugin in read.plugins)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="no such plugins folder"):
        find_plugins(tmp_path / "none")


def test_an_installed_plugin_comes_by_its_entry_point() -> None:
    entry = EntryPoint("installed", "plugins.help", "renshe.plugins")
    plugin = read_plugin(Source("installed", entry))
    assert plugin.handlers[0].mark.names[0] == "help"
    wrong = EntryPoint("installed", "plugins.help:show_help", "renshe.plugins")
    with pytest.raises(PluginError, match="is no module"):
        read_plugin(Source("installed", wrong))

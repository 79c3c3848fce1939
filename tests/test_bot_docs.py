"""What ``docs/bot.md`` shows is true: its settings load, its commands exist."""

import re
from pathlib import Path

import pytest

from bot.cli import main
from bot.config import load_bot_config

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "bot.md").read_text("utf-8")
SETTINGS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = sorted(set(re.findall(r"^renshe ((?:db |config )?[a-z]+)", TEXT, re.MULTILINE)))


def test_there_is_something_to_check() -> None:
    assert len(SETTINGS) == 2 and len(COMMANDS) >= 7


@pytest.mark.parametrize("settings", SETTINGS)
def test_its_settings_load(tmp_path: Path, settings: str) -> None:
    path = tmp_path / "renshe.yaml"
    path.write_text(settings, encoding="utf-8")
    assert "muxue" in load_bot_config(path).personas


@pytest.mark.parametrize("command", COMMANDS)
def test_its_commands_exist(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    assert f"renshe {command}" in capsys.readouterr().out

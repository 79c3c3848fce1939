"""The settings that ``docs/telegram.md`` shows can be used as they stand."""

import re
from pathlib import Path

import pytest

from bot.config import load_bot_config

PAGE = Path(__file__).parents[4] / "docs" / "telegram.md"
SHOWN = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_there_are_settings_to_check() -> None:
    assert len(SHOWN) == 3


@pytest.mark.parametrize("shown", SHOWN)
def test_they_are_right(shown: str, tmp_path: Path) -> None:
    file = tmp_path / "renshe.yaml"
    file.write_text(shown, "utf-8")
    (telegram,) = load_bot_config(file).adapters.telegram
    assert telegram.token_file == tmp_path / "telegram.token"

import pytest

from bot.cli import main


@pytest.mark.parametrize(
    "command", [["run", "x.yaml"], ["config", "check", "x"], ["db", "check", "x"]]
)
def test_without_the_extra_it_says_how_to_get_it(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "bot.commands.extra.find_spec", lambda name: None if name == "aiogram" else 1
    )
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "aiogram" in error and "pip install 'renshe[bot]'" in error
    assert "aiohttp" not in error


def test_writing_settings_needs_none_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0

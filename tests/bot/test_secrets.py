from pathlib import Path

import pytest

from bot.errors import BotConfigError
from bot.secrets import read_secret


def test_it_is_read_from_either_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text(" s3cret\n")
    file.chmod(0o600)
    monkeypatch.setenv("TOKEN", "fr0m env")
    assert read_secret("token", None, file) == "s3cret"
    assert read_secret("token", "TOKEN", None) == "fr0m env"
    assert read_secret("token", None, None) is None


@pytest.mark.parametrize(
    ("content", "mode", "told"),
    [
        (b"s3cret", 0o644, "chmod 600"),
        (b" \n", 0o600, "empty"),
        (b"\xff\xfe\x00", 0o600, "no text"),
        (None, 0, "cannot read"),
    ],
)
def test_a_bad_file_is_named_and_its_content_is_not(
    tmp_path: Path, content: bytes | None, mode: int, told: str
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    with pytest.raises(BotConfigError, match=told) as raised:
        read_secret("token", None, file)
    assert str(file) in str(raised.value) and "s3cret" not in str(raised.value)


def test_a_missing_variable_and_two_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BotConfigError, match="NOT_SET_AT_ALL"):
        read_secret("token", "NOT_SET_AT_ALL", None)
    with pytest.raises(BotConfigError, match="both token_env and token_file"):
        read_secret("token", "A", tmp_path)

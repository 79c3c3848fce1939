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


def test_a_link_to_itself_is_named_too(tmp_path: Path) -> None:
    (tmp_path / "token").symlink_to(tmp_path / "token")
    with pytest.raises(BotConfigError, match="cannot read"):
        read_secret("token", None, tmp_path / "token")


@pytest.fixture
def credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as systemd gives it to a service."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    return folder


def shown_to_the_group(file: Path, mode: int = 0o440) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_text("s3cret")
    file.chmod(mode)
    return file


def test_a_credential_of_systemd_is_read_by_whatever_way_one_gets_there(
    credentials: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = shown_to_the_group(credentials / "telegram")
    link, around = tmp_path / "link", tmp_path / "other" / ".." / "credentials" / "telegram"
    link.symlink_to(file)
    (tmp_path / "other").mkdir()
    for way in (file, link, around):
        assert read_secret("token", None, way) == "s3cret"
    (tmp_path / "folder").symlink_to(credentials)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "folder"))
    assert read_secret("token", None, file) == "s3cret"


@pytest.mark.parametrize("mode", [0o444, 0o442, 0o441, 0o460])
def test_a_credential_that_others_can_use_is_refused(credentials: Path, mode: int) -> None:
    file = shown_to_the_group(credentials / "telegram", mode)
    with pytest.raises(BotConfigError, match="others can read"):
        read_secret("token", None, file)


@pytest.mark.parametrize("way", ["beside", "..", "deeper", "link"])
def test_what_only_seems_to_be_a_credential_is_refused(
    credentials: Path, tmp_path: Path, way: str
) -> None:
    real = credentials / "deep" / "token" if way == "deeper" else tmp_path / "token"
    file = shown_to_the_group(real)
    if way == "..":
        file = credentials / ".." / "token"
    elif way == "link":
        file = credentials / "token"
        file.symlink_to(real)
    with pytest.raises(BotConfigError, match="others can read"):
        read_secret("token", None, file)


@pytest.mark.parametrize("named", [None, "", "."])
def test_without_a_folder_of_credentials_nothing_is_spared(
    credentials: Path, monkeypatch: pytest.MonkeyPatch, named: str | None
) -> None:
    file = shown_to_the_group(credentials / "telegram")
    monkeypatch.chdir(credentials)
    if named is None:
        monkeypatch.delenv("CREDENTIALS_DIRECTORY")
    else:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", named)
    with pytest.raises(BotConfigError, match="chmod 600"):
        read_secret("token", None, file)

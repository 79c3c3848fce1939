"""From a filled-in form to a bot's settings, without a page."""

import re
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("sqlite_utils")

from bot.config import load_bot_config
from bot.studio.bots.connection import (
    Wish,
    choose,
    connect,
    players,
    renew,
    secret_files,
    what_to_enter,
)
from bot.studio.bots.settings import SettingsFile
from bot.studio.workshop import Workshop
from trainer.errors import RensheError

ROOT = Path(__file__).parents[4]
TELEGRAM = "123456789:AAabcdefghijklmnopqrstuvwxyz_-12345"
QQ = Wish("reverse_websocket", token="s3cret", owner="12345")


@pytest.fixture
def project(tmp_path: Path) -> Workshop:
    (tmp_path / "personas").mkdir()
    shutil.copy(ROOT / "tests/data/personas/good.yaml", tmp_path / "personas/snow.yaml")
    (tmp_path / "runs" / "muxue").mkdir(parents=True)
    (tmp_path / "runs" / "muxue" / "run.json").write_text("{}")
    return Workshop(tmp_path)


@pytest.fixture
def file(project: Workshop) -> SettingsFile:
    return SettingsFile(project.root / "renshe.yaml", project.own / "versions")


def test_the_first_connection_makes_a_valid_file_without_the_token(
    project: Workshop, file: SettingsFile
) -> None:
    assert ("muxue", "run:muxue") in players(project)
    saved = connect(file, "", project, "run:muxue", QQ)
    assert "s3cret" not in saved.text and "runs/muxue" in saved.text
    config = load_bot_config(file.path)
    (entry,) = config.adapters.onebot_v11
    assert entry.token_file is not None and entry.token_file.read_text() == "s3cret\n"
    assert stat.S_IMODE(entry.token_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(entry.token_file.parent.stat().st_mode) == 0o700
    assert (project.root / "secrets" / ".gitignore").read_text() == "*\n"
    assert config.owners == ("onebot_v11:12345",)
    (told,) = what_to_enter(config)
    assert "ws://127.0.0.1:8080/onebot/v11/ws" in told and "s3cret" not in told


@pytest.mark.parametrize(
    "wish",
    [
        Wish("forward_websocket", token="t", url="ws://127.0.0.1:3001/"),
        Wish("http", token="t", secret="s", url="http://127.0.0.1:3000"),
        Wish("telegram", token=TELEGRAM, proxy="socks5://127.0.0.1:1080"),
        Wish("reverse_websocket"),
    ],
)
def test_every_way_makes_a_file_that_is_valid(
    project: Workshop, file: SettingsFile, wish: Wish
) -> None:
    connect(file, "", project, "echo:snow", wish)
    config = load_bot_config(file.path)
    assert len(secret_files(config)) == bool(wish.token) + bool(wish.secret)
    assert len(list(what_to_enter(config))) == 1


def test_a_second_connection_is_added_and_comments_stay(
    project: Workshop, file: SettingsFile
) -> None:
    connect(file, "", project, "echo:snow", QQ)
    file.path.write_text("# my own words\n" + file.path.read_text("utf-8"), encoding="utf-8")
    wish = Wish("telegram", token=TELEGRAM, owner="12345")
    saved = connect(file, file.open().digest, project, "", wish)
    assert saved.text.startswith("# my own words\n") and "AAabc" not in saved.text
    config = load_bot_config(file.path)
    assert len(config.adapters.onebot_v11) == len(config.adapters.telegram) == 1
    assert config.owners == ("onebot_v11:12345", "telegram:12345")


@pytest.mark.parametrize(
    ("who", "wish", "told"),
    [
        ("echo:snow", replace(QQ, host="0.0.0.0", token=""), "other machines reach 0.0.0.0"),
        ("echo:snow", replace(QQ, port=99999), "65535"),
        ("echo:snow", replace(QQ, token="有 空格"), "does not look like a token"),
        ("echo:snow", replace(QQ, owner="@xiaoming"), "number, not the name"),
        ("echo:snow", Wish("telegram", token="nonsense"), "BotFather"),
        ("echo:snow", Wish("telegram"), "BotFather"),
        ("echo:snow", Wish("telegram", token=TELEGRAM, proxy="127.0.0.1:1080"), "another form"),
        ("echo:snow", Wish("forward_websocket", token="t0ken"), "needs a url"),
        ("", QQ, "nobody was chosen"),
        ("run:../../etc", QQ, "nobody was chosen"),
    ],
)
def test_bad_input_is_refused_and_leaves_no_secret(
    project: Workshop, file: SettingsFile, who: str, wish: Wish, told: str
) -> None:
    with pytest.raises(RensheError, match=told) as caught:
        connect(file, "", project, who, wish)
    assert not file.path.exists() and not list(project.root.glob("secrets/[!.]*"))
    assert not wish.token or wish.token not in str(caught.value)


def test_two_first_forms_do_not_overwrite_each_other(project: Workshop, file: SettingsFile) -> None:
    connect(file, "", project, "echo:snow", QQ)
    before = file.open()
    with pytest.raises(RensheError, match="changed elsewhere"):
        connect(file, "", project, "run:muxue", replace(QQ, token="another"))
    assert file.open() == before
    assert [path.read_text() for path in project.root.glob("secrets/onebot*")] == ["s3cret\n"]


def test_a_token_is_replaced_and_its_permissions_mended(
    project: Workshop, file: SettingsFile
) -> None:
    connect(file, "", project, "echo:snow", QQ)
    ((label, path),) = secret_files(file.read()).items()
    path.chmod(0o644)
    renew(file, project, label, " better ")
    assert path.read_text() == "better\n" and stat.S_IMODE(path.stat().st_mode) == 0o600
    for name, secret in (("no such", "x"), (label, ""), (label, "a b")):
        with pytest.raises(RensheError):
            renew(file, project, name, secret)
    file.path.write_text(
        file.path.read_text("utf-8").replace("secrets/", "/nowhere/"), encoding="utf-8"
    )
    with pytest.raises(RensheError, match="outside of the project"):
        renew(file, project, label, "x")


def test_only_files_among_the_secrets_are_written_as_tokens(
    project: Workshop, file: SettingsFile
) -> None:
    """Whoever may replace a token could else write any file of the project, code included."""
    connect(file, "", project, "echo:snow", QQ)
    persona = project.persona_file("snow")
    former = persona.read_text("utf-8")
    text = re.sub(r"token_file: .*", "token_file: personas/snow.yaml", file.open().text)
    file.save(text, file.open().digest)
    (label,) = secret_files(file.read())
    with pytest.raises(RensheError, match="outside of the project's secrets/"):
        renew(file, project, label, "import os")
    assert persona.read_text("utf-8") == former


def test_no_page_chooses_the_folder_of_plugins(project: Workshop, file: SettingsFile) -> None:
    """What lies in it is run."""
    opened = connect(file, "", project, "echo:snow", QQ)
    with pytest.raises(RensheError, match="so no page may choose it"):
        file.save(opened.text + "plugins: {folder: secrets}\n", opened.digest)
    by_hand = opened.text + "plugins: {folder: mods}\n"
    file.path.write_text(by_hand, "utf-8")
    file.save(by_hand + "# a comment\n", file.open().digest)


def test_another_run_answers_under_the_same_name(project: Workshop, file: SettingsFile) -> None:
    connect(file, "", project, "echo:snow", QQ)
    choose(file, file.open().digest, project, "snow", "run:muxue")
    entry = file.read().personas["snow"]
    assert entry.echo is None and entry.tuned is not None
    assert entry.tuned.run == project.root.absolute() / "runs" / "muxue"

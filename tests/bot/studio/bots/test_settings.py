"""``renshe.yaml`` as the page changes it, without a page."""

import stat
from pathlib import Path

import pytest

pytest.importorskip("sqlite_utils")

from bot.errors import BotConfigError
from bot.studio.bots.settings import LONGEST, SettingsFile, changed_text
from trainer.errors import RensheError

TEXT = """# mine
personas:
  snow: {echo: {persona: personas/snow.yaml}}   # who
adapters:
  onebot_v11:
    - port: 8080        # NapCat
      token_file: secrets/onebot
owners: ["onebot_v11:1", 'telegram:2']
plugins:
  settings:
    greet: {at: ["08:30"]}
"""


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    (tmp_path / "renshe.yaml").write_text(TEXT, encoding="utf-8")
    return SettingsFile(tmp_path / "renshe.yaml", tmp_path / "versions")


def test_a_change_leaves_everything_else_as_it_was_written() -> None:
    def change(data: object) -> None:
        data["adapters"]["onebot_v11"][0]["port"] = 9090  # type: ignore[index]

    assert changed_text(TEXT, change) == TEXT.replace("8080", "9090")
    assert changed_text(TEXT, lambda _data: None) == TEXT
    flat = TEXT.replace("    - port", "  - port").replace("      token", "    token")
    assert changed_text(flat, lambda _data: None) == flat


def test_a_save_keeps_the_former_version_and_the_permissions(file: SettingsFile) -> None:
    file.path.chmod(0o600)
    saved = file.save(TEXT + "triggers: {random: 0.5}\n", file.open().digest)
    assert file.read().triggers.random == 0.5 and saved == file.open()
    (version,) = file.versions()
    assert version.read_text("utf-8") == TEXT
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_file_that_changed_meanwhile_is_not_overwritten(file: SettingsFile) -> None:
    seen = file.open().digest
    theirs = TEXT + "# by somebody else\n"
    file.path.write_text(theirs, encoding="utf-8")
    with pytest.raises(RensheError, match="changed elsewhere"):
        file.save(TEXT, seen)
    with pytest.raises(RensheError, match="changed elsewhere"):
        file.change(lambda data: data.clear(), seen)
    assert file.open().text == theirs and not file.versions()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("personas: {", "renshe.yaml:"),
        (TEXT.replace("port: 8080", "prt: 8080"), "unknown key prt"),
        (TEXT.replace("08:30", "25:30"), "another form"),
        (TEXT.replace("greet", "gret"), "no plugin gret"),
        (TEXT.replace("- port: 8080 ", "- host: 0.0.0.0").replace("token_file: s", "path: /s"),
         "other machines reach 0.0.0.0"),
        (TEXT.replace("personas/snow", "../snow"), "outside of the project"),
        (TEXT + "store: /tmp/elsewhere.db\n", "outside of the project"),
        ("a: &a [x]\nb: *a\n", "alias"),
        (TEXT + "# " + "x" * LONGEST, "longer than"),
    ],
)  # fmt: skip
def test_a_text_with_faults_is_refused_with_their_places(
    file: SettingsFile, text: str, told: str
) -> None:
    with pytest.raises(RensheError, match=told):
        file.save(text, file.open().digest)
    assert file.open().text == TEXT and not file.versions()


def test_what_its_owner_wrote_there_may_stay(file: SettingsFile) -> None:
    own = TEXT + "store: /var/lib/renshe.db\nplugins_x: 1\n".replace("plugins_x: 1\n", "")
    file.path.write_text(own, encoding="utf-8")
    file.save(own + "triggers: {random: 0.5}\n", file.open().digest)
    assert file.read().store == Path("/var/lib/renshe.db")


def test_a_broken_file_is_mended_on_the_page(file: SettingsFile) -> None:
    file.path.write_text(TEXT + "oops: 1\n", encoding="utf-8")
    with pytest.raises(BotConfigError, match="unknown key oops"):
        file.change(lambda _data: None, file.open().digest)
    file.save(TEXT, file.open().digest)
    assert file.faults(file.open().text) == []


def test_versions_do_not_grow_without_end(
    file: SettingsFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.studio.bots.settings.KEPT", 2)
    for number in range(4):
        file.save(f"{TEXT}triggers: {{random: 0.{number}}}\n", file.open().digest)
    assert len(file.versions()) == 2
    file.keep_draft("half done")
    assert "half done" in [path.read_text("utf-8") for path in file.versions()]

"""Persona files are opened and saved without anybody's work being overwritten unseen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot.studio import whole_file
from bot.studio.persona import desk as persona_desk
from bot.studio.persona.desk import ChangedError, Desk, Opened
from bot.studio.workshop import Workshop
from trainer.errors import RensheError, SourceError
from trainer.templates import new_persona

TEXT = new_persona("Lin", "en")
OTHER = TEXT.replace("Lin", "Lou")
THIRD = TEXT.replace("Lin", "Liz")


@pytest.fixture
def desk(workshop: Workshop) -> Desk:
    moments = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=i) for i in range(999))
    return Desk(workshop, lambda: next(moments))


def file(workshop: Workshop) -> Path:
    return workshop.persona_file("lin")


def test_each_save_keeps_what_it_replaces(desk: Desk, workshop: Workshop) -> None:
    opened = desk.create("lin", TEXT)
    opened = desk.save("lin", OTHER, opened)
    opened = desk.save("lin", THIRD, opened)
    assert file(workshop).read_text("utf-8") == THIRD
    kept = desk.versions("lin")
    assert [desk.version("lin", one.id) for one in kept] == [OTHER, TEXT]
    assert kept[0].time > kept[1].time
    assert [path.name for path in file(workshop).parent.iterdir()] == ["lin.yaml"]


def test_versions_are_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persona_desk, "KEPT", 3)
    opened = desk.create("lin", TEXT)
    for number in range(6):
        opened = desk.save("lin", TEXT.replace("Lin", f"Lin{number}"), opened)
    names = [desk.version("lin", one.id).count("Lin4") > 0 for one in desk.versions("lin")]
    assert names == [True, False, False]


def test_the_same_text_is_no_new_version(desk: Desk) -> None:
    opened = desk.create("lin", TEXT)
    for _ in range(3):
        opened = desk.save("lin", TEXT, opened)
    assert len(desk.versions("lin")) == 1


def test_a_change_elsewhere_is_never_overwritten(desk: Desk, workshop: Workshop) -> None:
    mine = theirs = desk.create("lin", TEXT)
    desk.save("lin", OTHER, theirs)
    with pytest.raises(ChangedError) as caught:
        desk.save("lin", THIRD, mine)
    assert caught.value.theirs.text == OTHER
    assert file(workshop).read_text("utf-8") == OTHER
    desk.save("lin", THIRD, mine, over=caught.value.theirs.digest)
    assert file(workshop).read_text("utf-8") == THIRD
    assert desk.version("lin", desk.versions("lin")[0].id) == OTHER


def test_a_change_after_the_choice_is_seen_too(desk: Desk, workshop: Workshop) -> None:
    mine = desk.create("lin", TEXT)
    file(workshop).write_text(OTHER, "utf-8")
    with pytest.raises(ChangedError) as caught:
        desk.save("lin", THIRD, mine)
    file(workshop).write_text(OTHER + "# more\n", "utf-8")
    with pytest.raises(ChangedError):
        desk.save("lin", THIRD, mine, over=caught.value.theirs.digest)


def test_a_file_that_was_deleted_meanwhile(desk: Desk, workshop: Workshop) -> None:
    opened = desk.create("lin", TEXT)
    file(workshop).unlink()
    with pytest.raises(ChangedError, match="deleted") as caught:
        desk.save("lin", OTHER, opened)
    desk.save("lin", OTHER, opened, over=caught.value.theirs.digest)
    assert file(workshop).read_text("utf-8") == OTHER


def test_a_file_that_became_unreadable(desk: Desk, workshop: Workshop) -> None:
    opened = desk.create("lin", TEXT)
    file(workshop).unlink()
    file(workshop).mkdir()
    with pytest.raises(RensheError) as caught:
        desk.save("lin", OTHER, opened)
    assert caught.value.faults[0].code == "unreadable"
    with pytest.raises(RensheError):
        desk.open("lin")


@pytest.mark.parametrize("name", ["../x", "", "a/b", "..", "x\0", ".hidden", "a" * 65])
def test_what_is_no_id_reaches_no_file(desk: Desk, tmp_path: Path, name: str) -> None:
    (tmp_path / "x.yaml").write_text(TEXT, "utf-8")
    calls: list[Any] = [
        lambda: desk.open(name),
        lambda: desk.save(name, TEXT, Opened("", "")),
        lambda: desk.create(name, TEXT),
        lambda: desk.versions(name),
        lambda: desk.version(name, "../../x"),
        lambda: desk.keep_version(name, TEXT),
    ]
    for call in calls:
        with pytest.raises(RensheError) as caught:
            call()
        assert caught.value.faults[0].code == "id"
    assert (tmp_path / "x.yaml").read_text("utf-8") == TEXT


def test_a_version_is_named_by_id_alone(desk: Desk, workshop: Workshop) -> None:
    desk.create("lin", TEXT)
    (workshop.own / "secret.yaml").write_text("secret", "utf-8")
    for version in ("../secret", "../../secret", "", "lin"):
        with pytest.raises(RensheError, match="no such version"):
            desk.version("lin", version)


def test_what_is_no_persona_is_not_written(desk: Desk, workshop: Workshop) -> None:
    opened = desk.create("lin", TEXT)
    with pytest.raises(SourceError) as caught:
        desk.save("lin", TEXT.replace("expect: rain", "expect: snow"), opened)
    assert [fault.code for fault in caught.value.faults] == ["answer-not-expected"]
    assert file(workshop).read_text("utf-8") == TEXT
    assert desk.versions("lin") == []


def test_a_full_disk_leaves_the_file_alone(
    desk: Desk, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = desk.create("lin", TEXT)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(whole_file, "_replace", full)
    with pytest.raises(RensheError, match="No space left") as caught:
        desk.save("lin", OTHER, opened)
    assert "still on the page" in caught.value.faults[0].fix
    assert file(workshop).read_text("utf-8") == TEXT


def test_a_half_written_file_is_removed(
    desk: Desk, workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = desk.create("lin", TEXT)

    def fails(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(RensheError, match="Input/output"):
        desk.save("lin", OTHER, opened)
    assert [path.name for path in file(workshop).parent.iterdir()] == ["lin.yaml"]


def test_windows_line_ends_stay(desk: Desk, workshop: Workshop) -> None:
    file(workshop).write_bytes(TEXT.replace("\n", "\r\n").encode())
    opened = desk.open("lin")
    assert opened.text == TEXT
    saved = desk.save("lin", OTHER.rstrip(), opened)
    assert file(workshop).read_bytes() == OTHER.replace("\n", "\r\n").encode()
    assert saved.digest == desk.digest("lin")


def test_a_text_of_a_hundred_megabytes_is_refused(desk: Desk) -> None:
    opened = desk.create("lin", TEXT)
    with pytest.raises(RensheError, match="104,857,600 characters"):
        desk.save("lin", "#" * (100 << 20), opened)


def test_a_taken_name(desk: Desk) -> None:
    desk.create("lin", TEXT)
    with pytest.raises(RensheError, match="is a persona lin already"):
        desk.create("lin", OTHER)

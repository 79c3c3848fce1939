"""Opens and saves persona files, so that nobody overwrites what they have not seen.

A file is opened together with its hash. When it is saved, the hash must still be that of
the file: another tab, an editor or ``renshe harvest`` may have written it meanwhile.
Whatever a save replaces is kept as a version.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from bot.studio.whole_file import disk_refusal, write_whole
from bot.studio.workshop import Workshop
from trainer.errors import Fault, RensheError, SourceError
from trainer.language import say
from trainer.persona import parse_persona
from trainer.strict_yaml import read_text

LONGEST = 1_000_000
"""Characters in a text that is taken from a page; a persona of 3,000 facts has fewer."""

KEPT = 50
"""Versions of a persona that are kept; the oldest go."""

PATIENCE = 5.0
"""Seconds to wait for another save of the same persona."""


@dataclass(frozen=True)
class Opened:
    r"""A persona file as it was when it was read.

    Attributes:
        text: with line ends of ``\n``.
        digest: SHA-256 of the bytes; empty for a file that is not there.
        newline: what ends its lines.
    """

    text: str
    digest: str
    newline: str = "\n"


@dataclass(frozen=True)
class Version:
    """A former content of a persona file.

    Attributes:
        id: unique among the persona's, sorted by time.
        time: when it was replaced, in UTC.
        size: in bytes.
    """

    id: str
    time: datetime
    size: int


class ChangedError(RensheError):
    """The file is not what it was when it was opened.

    Attributes:
        theirs: what it is now.
    """

    def __init__(self, problem: str, *, theirs: Opened, path: Path, fix: str) -> None:
        super().__init__(problem, path=path, fix=fix, code="changed")
        self.theirs = theirs


class Desk:
    """The persona files of a workshop, and their versions."""

    def __init__(self, workshop: Workshop, now: Callable[[], datetime] | None = None) -> None:
        self._workshop = workshop
        self._now = now or (lambda: datetime.now(UTC))

    def open(self, name: str) -> Opened:
        """Read a persona file, whatever is wrong in it.

        Raises:
            RensheError: ``name`` is no id, or the file is missing, unreadable or not UTF-8.
        """
        # The hash first: of a file that changes in between, a save will then be refused.
        digest = self.digest(name)
        text = bounded(read_text(self._workshop.persona_file(name)))
        newline = "\r\n" if "\r\n" in text else "\n"
        return Opened(re.sub("\r\n?", "\n", text), digest, newline)

    def digest(self, name: str) -> str:
        """Return the SHA-256 (64 hex digits) of a persona file; empty if it is not there.

        Raises:
            RensheError: ``name`` is no id, or the file cannot be read.
        """
        path = self._workshop.persona_file(name)
        try:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise _unreadable(path, error) from None

    def create(self, name: str, text: str) -> Opened:
        """Write a persona file that is not there yet.

        Raises:
            RensheError: as :meth:`save`, or the name is taken.
        """
        if name in self._workshop.personas() or self.digest(name):
            raise RensheError(
                say(zh=f"已经有一个叫 {name} 的人设", en=f"there is a persona {name} already"),
                fix=say(zh="换个名字，或者打开它接着写", en="take another name, or go on with it"),
                code="taken",
            )
        return self.save(name, text, Opened("", ""))

    def save(self, name: str, text: str, before: Opened, *, over: str | None = None) -> Opened:
        """Write a persona and keep what it replaces as a version.

        Args:
            name: the persona's id.
            text: its YAML.
            before: what was opened.
            over: digest of somebody else's content that may be replaced, since its loss was
                chosen; it is kept as a version, too.

        Raises:
            ChangedError: the file is neither what was opened nor ``over``.
            SourceError: the text is no persona; nothing was written.
            RensheError: the disk refuses.
        """
        path = self._workshop.persona_file(name)
        refuse_unsound(text)
        with self._locked(name):
            found = self.digest(name)
            if found not in (before.digest, over):
                raise self._changed(name, path)
            if found:
                self.keep_version(name, path.read_bytes().decode("utf-8", "replace"))
            written = ended(text).replace("\n", before.newline)
            write_whole(path, written)
        return Opened(ended(text), sha256(written), before.newline)

    def delete(self, name: str, before: Opened) -> None:
        """Delete a persona file; what it said is kept as the youngest version.

        Raises:
            ChangedError: the file is not what was opened.
            RensheError: the disk refuses.
        """
        path = self._workshop.persona_file(name)
        with self._locked(name):
            found = self.digest(name)
            if found and found != before.digest:
                raise self._changed(name, path)
            if found:
                self.keep_version(name, path.read_bytes().decode("utf-8", "replace"))
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise disk_refusal(path, error) from None

    def versions(self, name: str) -> list[Version]:
        """Return the former contents of a persona file, the youngest first."""
        folder = self._versions(name)
        found = [_version(path) for path in folder.glob("*.yaml")] if folder.is_dir() else []
        known = [version for version in found if version is not None]
        return sorted(known, key=lambda version: version.id, reverse=True)

    def version(self, name: str, version: str) -> str:
        """Return the text of a version.

        Raises:
            RensheError: there is none of this id.
        """
        if version not in {kept.id for kept in self.versions(name)}:
            raise RensheError(
                say(zh="没有这个版本", en="there is no such version"),
                fix=say(zh="刷新列表，另选一个", en="refresh the list and choose another"),
                code="no-version",
            )
        return re.sub("\r\n?", "\n", read_text(self._versions(name) / f"{version}.yaml"))

    def keep_version(self, name: str, text: str) -> None:
        """Keep a text as the youngest version, unless that holds the same.

        Raises:
            RensheError: the disk refuses.
        """
        kept = self.versions(name)
        folder = self._versions(name)
        if kept and (folder / f"{kept[0].id}.yaml").read_bytes() == text.encode():
            return
        write_whole(folder / f"{self._now():%Y%m%d-%H%M%S-%f}.yaml", text)
        for old in kept[KEPT - 1 :]:
            (folder / f"{old.id}.yaml").unlink(missing_ok=True)

    def _versions(self, name: str) -> Path:
        self._workshop.persona_file(name)  # refuses what is no id
        return self._workshop.own / "versions" / name

    def _locked(self, name: str) -> FileLock:
        path = self._workshop.own / "versions" / f"{name}.lock"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path, timeout=PATIENCE)
            lock.acquire()
        except Timeout:
            raise RensheError(
                say(zh="另一个网页正在保存这个人设", en="another page is saving this persona"),
                fix=say(zh="过几秒再试", en="try again in a few seconds"),
                code="busy",
            ) from None
        except OSError as error:
            raise disk_refusal(path, error) from None
        return lock

    def _changed(self, name: str, path: Path) -> ChangedError:
        if not path.exists():
            return ChangedError(
                say(zh="打开以后，这个文件被删掉了", en="since it was opened the file was deleted"),
                theirs=Opened("", ""),
                path=path,
                fix=say(
                    zh="保存你的，它就又有了；或者丢下你的",
                    en="keep yours, and it is there again; or let go of yours",
                ),
            )
        return ChangedError(
            say(
                zh="打开以后，这个文件在别处被改过",
                en="since it was opened the file was changed elsewhere",
            ),
            theirs=self.open(name),
            path=path,
            fix=say(
                zh="看看差别，选一份留下；另一份会存成旧版本",
                en="see how they differ and choose one; the other is kept as a version",
            ),
        )


def bounded(text: str) -> str:
    """Return ``text`` unless it is longer than a page may send.

    Raises:
        RensheError: it is; its length is named.
    """
    if len(text) <= LONGEST:
        return text
    raise RensheError(
        say(
            zh=f"有 {len(text):,} 个字，太长了：最多 {LONGEST:,} 个",
            en=f"{len(text):,} characters are too many: {LONGEST:,} at most",
        ),
        fix=say(
            zh="看看是不是贴错了东西，或者分几次来",
            en="see whether the wrong thing was pasted, or bring it in parts",
        ),
        code="too-long",
    )


def refuse_unsound(text: str) -> None:
    """Refuse a text that is no persona.

    Raises:
        SourceError: with every error, in the order of the lines.
    """
    persona, _, faults = parse_persona(bounded(text))
    if persona is None:
        ordered: tuple[Fault, ...] = tuple(sorted(faults, key=lambda one: (one.line, one.column)))
        raise SourceError(say(zh="人设还有错", en="the persona is wrong"), faults=ordered)


def sha256(text: str) -> str:
    """Return the hash (64 hex digits) of a text's UTF-8 bytes."""
    return hashlib.sha256(text.encode()).hexdigest()


def ended(text: str) -> str:
    """Return ``text`` with one line end at its end, as files have and editors show not."""
    return text.rstrip() + "\n"


def _version(path: Path) -> Version | None:
    try:
        time = datetime.strptime(path.stem, "%Y%m%d-%H%M%S-%f").replace(tzinfo=UTC)
        return Version(path.stem, time, path.stat().st_size)
    except (ValueError, OSError):  # somebody else's file
        return None


def _unreadable(path: Path, error: OSError) -> RensheError:
    return RensheError(
        say(zh=f"读不了这个文件：{error.strerror}", en=f"cannot read the file: {error.strerror}"),
        path=path,
        fix=say(zh="检查文件的权限", en="check the file's permissions"),
        code="unreadable",
    )

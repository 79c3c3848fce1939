"""``renshe.yaml`` as the page changes it: checked first, comments kept, never overwritten unseen.

A save is refused when the file is not what the page last saw, or when the new text has a
fault. Whatever a save replaces is kept as a version. The page may not point the bot at
anything outside the project folder: what stands in the file by its owner's hand may.
"""

from __future__ import annotations

import hashlib
import io
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from bot.config import BotConfig, parse_bot_config
from bot.errors import BotConfigError
from bot.plugin_set import read_plugins
from bot.studio.whole_file import disk_refusal, write_whole
from trainer.errors import Fault, RensheError
from trainer.language import say
from trainer.strict_yaml import read_text

LONGEST = 200_000
"""Characters in a text that is taken from a page."""

KEPT = 30
"""Versions that are kept; the oldest go."""

PATIENCE = 5.0
"""Seconds to wait for another save."""

_DASH = re.compile(r"^( *)[^\s#-][^\n]*:[ \t]*(?:#[^\n]*)?\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", re.M)
"""A key with a list below it: how far its dashes are indented is a matter of taste."""

Change = Callable[[CommentedMap], None]


@dataclass(frozen=True)
class Opened:
    """The file as it was when it was read.

    Attributes:
        text: empty if there is no file.
        digest: SHA-256 of its bytes; empty if there is no file.
    """

    text: str = ""
    digest: str = ""


class SettingsFile:
    """The ``renshe.yaml`` of a project.

    Args:
        path: the file, whether it is there or not.
        folder: where its versions are kept.
    """

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self._folder = folder

    def open(self) -> Opened:
        """Read the file.

        Raises:
            SourceError: it cannot be read.
        """
        if not self.path.exists():
            return Opened()
        data = self.path.read_bytes()
        return Opened(read_text(self.path), hashlib.sha256(data).hexdigest())

    def read(self) -> BotConfig:
        """Return what it says.

        Raises:
            RensheError: with every fault.
        """
        return parse_bot_config(self.open().text, self.path)[0]

    def faults(self, text: str) -> list[Fault]:
        """Return everything that is wrong with a text for this file."""
        try:
            config, document = parse_bot_config(text, self.path)
        except BotConfigError as error:
            return list(error.faults)
        faults = [
            fault for fault in read_plugins(config.plugins, document).faults if _is_here(fault)
        ]
        return [*faults, *self._outside(config)]

    def save(self, text: str, seen: str) -> Opened:
        """Write ``text``, if the file is still what was ``seen``.

        Args:
            text: the whole file.
            seen: the digest of what it replaces; empty for a new file.

        Raises:
            RensheError: the file changed meanwhile, the text has faults that the file has not,
                or the disk refuses it. Then nothing was changed.
        """
        if len(text) > LONGEST:
            raise _too_long()
        with self._saving():
            former = self.open()
            if former.digest != seen:
                raise _changed(self.path)
            if faults := self._new_faults(text, former):
                raise BotConfigError(faults=tuple(faults))
            self._keep(former)
            write_whole(self.path, text)
            return self.open()

    def change(self, change: Change, seen: str) -> Opened:
        """Change a part of the file and save it; all else in it stays as it was written.

        Raises:
            RensheError: see :meth:`save`; or the file cannot be read as it is.
        """
        opened = self.open()
        if opened.digest != seen:
            raise _changed(self.path)
        parse_bot_config(opened.text, self.path)  # refuses what must not be expanded
        return self.save(changed_text(opened.text, change), seen)

    def keep_draft(self, text: str) -> None:
        """Keep a text that was typed and not saved, as a version.

        Raises:
            RensheError: the disk refuses it.
        """
        self._write_version(text[:LONGEST], "draft")

    def versions(self) -> list[Path]:
        """Return the former contents that are kept, the youngest first."""
        return sorted(self._folder.glob("*.yaml"), reverse=True)

    def _new_faults(self, text: str, former: Opened) -> list[Fault]:
        """Return what is wrong with a text, but for what the file says of itself already."""
        faults = self.faults(text)
        known = {_mark(fault) for fault in self.faults(former.text)} if faults else set()
        return [fault for fault in faults if fault.code == "" or _mark(fault) not in known]

    def _outside(self, config: BotConfig) -> list[Fault]:
        """Find paths that a page may not set: out of the project, or to code that is run."""
        root = self.path.parent.resolve()
        former = self._read_or_none()
        known = set(paths_of(former))
        new = [path for path in paths_of(config) if path not in known]
        faults = [_leads_out(path) for path in new if not path.resolve().is_relative_to(root)]
        folder = config.plugins.folder
        if folder is not None and (former is None or folder != former.plugins.folder):
            faults.append(_is_run(folder))
        return faults

    def _read_or_none(self) -> BotConfig | None:
        try:
            return self.read()
        except RensheError:
            return None

    def _keep(self, former: Opened) -> None:
        if former.digest:
            self._write_version(former.text, former.digest[:6])

    def _write_version(self, text: str, mark: str) -> None:
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{mark}.yaml"
        write_whole(self._folder / name, text)
        for path in self.versions()[KEPT:]:
            path.unlink(missing_ok=True)

    @contextmanager
    def _saving(self) -> Iterator[None]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / "save.lock", timeout=PATIENCE)
            lock.acquire()
        except (OSError, Timeout) as error:
            raise disk_refusal(self.path, OSError(0, str(error))) from None
        try:
            yield
        finally:
            lock.release()


def changed_text(text: str, change: Change) -> str:
    """Return YAML with a part changed, and its comments, quotes and indents as they were."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    dash = _DASH.search(text)
    offset = len(dash[2]) - len(dash[1]) if dash else 2
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    data = yaml.load(text) or CommentedMap()
    change(data)
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def child(data: Any, key: str, empty: Any) -> Any:
    """Return ``data[key]``, which becomes ``empty`` where there is nothing after the key."""
    if data.get(key) is None:
        data[key] = empty
    return data[key]


def paths_of(value: Any) -> Iterator[Path]:
    """Yield every path in settings."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from paths_of(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from paths_of(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from paths_of(item)


def restart_needed(now: BotConfig, started: BotConfig, names: Sequence[str]) -> list[str]:
    """Return which of the settings ``names`` count only from the next start, and changed."""
    return [name for name in names if getattr(now, name) != getattr(started, name)]


def _mark(fault: Fault) -> tuple[str, str]:
    return fault.code, fault.problem


def _is_here(fault: Fault) -> bool:
    """Tell whether a plugin's fault is one of the settings, not of the plugin's own file."""
    return fault.code in ("plugin-settings", "no-plugin") or bool(
        fault.path and fault.path.suffix == ".yaml"
    )


def _changed(path: Path) -> RensheError:
    return RensheError(
        say(
            zh="这个文件在别处改过了，没有覆盖它",
            en="this file was changed elsewhere meanwhile; it was not overwritten",
        ),
        path=path,
        fix=say(
            zh="到“renshe.yaml”里点“重新读取”，再保存；你填的内容还在",
            en="press “Read again” under “renshe.yaml”, then save; what you typed is still there",
        ),
        code="changed",
    )


def _too_long() -> RensheError:
    return RensheError(
        say(zh=f"超过了 {LONGEST} 个字", en=f"it is longer than {LONGEST} characters"),
        fix=say(zh="缩短它", en="shorten it"),
        code="too-long",
    )


def _is_run(folder: Path) -> Fault:
    return Fault(
        say(
            zh=f"plugins.folder: {folder} 里的文件会被当程序运行，网页上不能换",
            en=f"plugins.folder: what lies in {folder} is run, so no page may choose it",
        ),
        fix=say(zh="用编辑器改 renshe.yaml", en="edit renshe.yaml in an editor"),
        code="outside",
    )


def _leads_out(path: Path) -> Fault:
    return Fault(
        say(zh=f"{path} 在项目文件夹外面", en=f"{path} is outside of the project folder"),
        fix=say(
            zh="网页上只能用项目里的文件；真要这样，用编辑器改 renshe.yaml",
            en="the page uses files of the project only; edit renshe.yaml in an editor for this",
        ),
        code="outside",
    )

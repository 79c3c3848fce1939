import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from trainer import bases, gguf
from trainer.bases import EMBEDDED, EmbeddedBase, cache_folder, find_base
from trainer.errors import BaseModelError

CONTENT = b"GGUF" + bytes(range(256)) * 40
ROOT = Path(__file__).parents[2]


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages, each with half of a GGUF file."""
    site = tmp_path / "site"
    for number, half in enumerate((CONTENT[:5000], CONTENT[5000:])):
        data = site / f"renshe_fake_part{number}" / "data"
        data.mkdir(parents=True)
        (data.parent / "__init__.py").write_text("raise ImportError('a base runs no code')")
        (data / f"fake.part{number}").write_bytes(half)
    monkeypatch.syspath_prepend(str(site))
    return site


def fake_base(**changed: Any) -> EmbeddedBase:
    fields = {
        "name": "fake",
        "title": "Fake 1K",
        "languages": "zh",
        "licence": "none",
        "chat_format": "plain",
        "files": tuple((f"renshe_fake_part{n}", f"data/fake.part{n}") for n in range(2)),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "size": len(CONTENT),
        "install": "pip install renshe-fake==1.0",
    }
    return EmbeddedBase(**{**fields, **changed})


@pytest.fixture
def conversions(
    own_cache: Path, packages: Path, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[bytes, Path]]:
    """Registers the fake base, and records what is converted instead of converting it."""
    done: list[tuple[bytes, Path]] = []

    def convert(gguf: Path, folder: Path, _report: Any) -> None:
        done.append((gguf.read_bytes(), folder))
        write_converted(folder)

    monkeypatch.setattr(bases, "EMBEDDED", (fake_base(),))
    monkeypatch.setattr(gguf, "convert", convert)
    return done


def write_converted(folder: Path) -> None:
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights" * 100)


def left_over(cache: Path) -> set[str]:
    return {path.name for path in (cache / "bases").iterdir()} if cache.exists() else set()


# --- where they are ---------------------------------------------------------------------------


def test_an_embedded_base_is_joined_and_converted_once(
    conversions: list[tuple[bytes, Path]], own_cache: Path
) -> None:
    first = find_base("fake")
    assert first == find_base("fake")
    assert [content for content, _ in conversions] == [CONTENT]
    assert (first.name, first.chat_format, first.sha256) == ("fake", "plain", fake_base().sha256)
    assert first.folder == own_cache / "bases" / first.sha256[:16]
    assert left_over(own_cache) == {first.folder.name, f"{first.folder.name}.lock"}


def test_a_base_that_is_not_installed_says_the_command(
    conversions: list[Any], monkeypatch: pytest.MonkeyPatch, packages: Path, own_cache: Path
) -> None:
    (packages / "renshe_fake_part1" / "data" / "fake.part1").unlink()
    gone = fake_base(name="gone", files=(("renshe_no_such_package", "x"),))
    monkeypatch.setattr(bases, "EMBEDDED", (fake_base(), gone))
    for name in ("fake", "gone"):
        with pytest.raises(BaseModelError, match=f"{name} is not installed") as caught:
            find_base(name)
        assert "→ pip install renshe-fake==1.0" in str(caught.value)
    assert not conversions and not left_over(own_cache)


@pytest.mark.parametrize("part", [0, 1])
def test_a_damaged_part_says_how_to_install_it_again(
    conversions: list[Any], packages: Path, own_cache: Path, part: int
) -> None:
    file = packages / f"renshe_fake_part{part}" / "data" / f"fake.part{part}"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BaseModelError, match="is damaged: sha256") as caught:
        find_base("fake")
    assert "→ pip install renshe-fake==1.0 --force-reinstall" in str(caught.value)
    assert not conversions
    assert all(name.endswith(".lock") for name in left_over(own_cache))


def test_an_unknown_name_says_where_to_look() -> None:
    with pytest.raises(BaseModelError, match="no base called 'nothing'") as caught:
        find_base("nothing")
    assert "renshe bases" in str(caught.value)


def test_the_cache_is_where_the_user_wants_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RENSHE_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
    monkeypatch.delenv("RENSHE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "renshe"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "renshe"


def test_progress_rises_from_nothing_to_all(
    conversions: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, float]] = []
    monkeypatch.setattr(bases, "_blocks", lambda _parts: iter([CONTENT[:5000], CONTENT[5000:]]))
    find_base("fake", lambda stage, done: told.append((stage, done)))
    assert [stage for stage, _ in told] == ["verifying the base"] * 2
    assert [round(done, 2) for _, done in told] == [round(5000 / len(CONTENT), 2), 1.0]


# --- a file or folder of the user -------------------------------------------------------------


def test_a_gguf_file_is_converted_and_known_by_its_content(
    conversions: list[tuple[bytes, Path]], tmp_path: Path
) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"GGUF of mine")
    source = find_base(str(file))
    assert source.sha256 == hashlib.sha256(b"GGUF of mine").hexdigest()
    assert source.name == str(file) and source.chat_format == "plain"
    file.rename(tmp_path / "moved.gguf")
    assert find_base(str(tmp_path / "moved.gguf")).folder == source.folder
    assert len(conversions) == 1


def test_a_file_that_is_no_gguf_is_named(own_cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.gguf"
    file.write_bytes(b"this is a text")
    with pytest.raises(BaseModelError, match="cannot be converted") as caught:
        find_base(str(file))
    assert str(file) in str(caught.value)
    assert all(name.endswith(".lock") for name in left_over(own_cache))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, "plain"),
        ({"tokenizer_config.json": '{"chat_template": "{{ x }}"}'}, "jinja"),
        ({"tokenizer_config.json": '{"chat_template": null}'}, "plain"),
        ({"tokenizer_config.json": "{"}, "plain"),
        ({"chat_template.jinja": "{{ x }}"}, "jinja"),
    ],
)
def test_a_folder_speaks_its_own_format(
    tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    for name, text in {"config.json": "{}", **files}.items():
        (tmp_path / name).write_text(text)
    source = find_base(str(tmp_path))
    assert (source.folder, source.chat_format) == (tmp_path, expected)


def test_a_folder_is_known_by_its_configuration_and_weights(tmp_path: Path) -> None:
    def identity() -> str:
        return find_base(str(tmp_path)).sha256

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(bytes(300_000))
    seen = [identity()]
    (tmp_path / "notes.txt").write_text("no matter")
    assert identity() == seen[0]
    for file, content in (
        ("model.safetensors", b"\1" + bytes(299_999)),
        ("model.safetensors", bytes(299_999) + b"\1"),
        ("model.safetensors", bytes(150_000) + b"\1" + bytes(149_999)),
        ("model.safetensors", bytes(300_001)),
        ("config.json", b"{ }"),
        ("model-2.safetensors", b""),
        ("pytorch_model.bin", b""),
    ):
        (tmp_path / file).write_bytes(content)
        seen.append(identity())
    assert len(set(seen)) == len(seen)


def test_a_large_file_is_sampled_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(20_000_000_000)  # sparse: takes no room
    begun = time.monotonic()
    find_base(str(tmp_path))
    assert time.monotonic() - begun < 2


# --- the cache --------------------------------------------------------------------------------


def truncate(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")


def change(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weightz" * 100)


def lose(folder: Path) -> None:
    (folder / "config.json").unlink()


def unseal(folder: Path) -> None:
    (folder / "whole.json").unlink()


def break_seal(folder: Path) -> None:
    (folder / "whole.json").write_text("{}")


def cut_seal(folder: Path) -> None:
    (folder / "whole.json").write_text('{"config.json": {"si')


def remove(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")


@pytest.mark.parametrize("damage", [truncate, change, lose, unseal, break_seal, cut_seal, remove])
def test_a_damaged_cache_heals(conversions: list[Any], damage: Callable[[Path], None]) -> None:
    folder = find_base("fake").folder
    damage(folder)
    assert find_base("fake").folder == folder
    assert len(conversions) == 2
    assert (folder / "model.safetensors").read_bytes() == b"weights" * 100
    find_base("fake")
    assert len(conversions) == 2


def test_a_copied_cache_is_whole_though_its_times_moved(conversions: list[Any]) -> None:
    folder = find_base("fake").folder
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    find_base("fake")
    assert len(conversions) == 1


def test_the_seal_lists_every_file(conversions: list[Any]) -> None:
    folder = find_base("fake").folder
    sealed = json.loads((folder / "whole.json").read_text())
    assert set(sealed) | {"whole.json"} == {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (OSError(28, "No space left on device"), BaseModelError),
        (ValueError("GGUF model with architecture fake is not supported"), BaseModelError),
        (KeyboardInterrupt(), KeyboardInterrupt),
        (RuntimeError("a bug"), RuntimeError),
    ],
)
def test_a_failed_conversion_leaves_nothing_behind(
    conversions: list[Any],
    own_cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    seen: type[BaseException],
) -> None:
    def fail(_gguf: Path, folder: Path, _report: Any) -> None:
        write_converted(folder)
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(gguf, "convert", fail)
        with pytest.raises(seen) as caught:
            find_base("fake")
    if seen is BaseModelError:
        assert str(error) in str(caught.value) and "GB of room" in str(caught.value)
    assert all(name.endswith(".lock") for name in left_over(own_cache))
    assert find_base("fake").folder.is_dir()


BOTH = """
import sys, time
from pathlib import Path
from trainer import bases, gguf
from tests.trainer.test_bases import fake_base, write_converted
sys.path.insert(0, sys.argv[1])

def convert(gguf, folder, report):
    with open(sys.argv[2], "a") as count:
        count.write("converted\\n")
    print("converting", flush=True)
    time.sleep(0.5)
    write_converted(folder)

gguf.convert = convert
bases.EMBEDDED = (fake_base(),)
print(bases.find_base("fake").folder)
"""


def test_two_processes_at_once_convert_once(
    own_cache: Path, packages: Path, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", BOTH, str(packages), str(count)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert count.read_text() == "converted\n"
    assert told[0][-1] == told[1][-1] and Path(told[0][-1]).is_dir()
    assert sorted(len(lines) for lines in told) == [1, 2]


# --- what is registered -----------------------------------------------------------------------


def test_the_registered_bases_are_complete() -> None:
    from trainer.chat import FORMATS

    assert [base.name for base in EMBEDDED] == ["tiny", "smollm2"]
    for base in EMBEDDED:
        assert len(base.sha256) == 64 and base.size > 10**7 and base.files
        assert base.install.startswith("pip install ") and "==" in base.install
        assert base.chat_format in FORMATS and base.licence and base.languages and base.title


@pytest.mark.base
@pytest.mark.skipif(EMBEDDED[0].paths() is None, reason="the base tiny is not installed")
def test_the_real_base_speaks_and_is_converted_once() -> None:
    import torch

    from trainer.batches import collate
    from trainer.chat import Message
    from trainer.generate import stream_reply
    from trainer.head import full_loss
    from trainer.model import load_base
    from trainer.sampling import Sampling

    stages: list[str] = []
    base = load_base("tiny", bits=8, device="cpu", report=lambda stage, _done: stages.append(stage))
    assert base.source.sha256 == EMBEDDED[0].sha256
    talk = [Message("user", "你好"), Message("assistant", "你好，很高兴认识你")]
    row = base.chat.encode(talk)
    loss, tokens = full_loss(base, collate([row], torch.device("cpu")), None)
    assert 0.1 < loss / tokens < 8  # far from the 12.5 of a guess among 262,144 words
    reply = list(stream_reply(base, None, talk[:1], sampling=Sampling(max_new_tokens=8)))
    assert reply and reply[-1].strip()
    for name in ("<start_of_turn>", "<end_of_turn>", "<eos>", "<bos>"):
        (control,) = base.chat.tokenizer.encode(name, markup=True)
        assert control not in base.chat.tokenizer.encode(name)
    stages.clear()
    begun = time.monotonic()
    assert find_base("tiny", lambda stage, _done: stages.append(stage)) == base.source
    assert not stages and time.monotonic() - begun < 2

"""The README's plugin and its test are run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from bot.plugin_loader import OFFERED

ROOT = Path(__file__).parents[2]
README = ROOT / "plugins" / "README.md"


def lines(code: str) -> int:
    """How many lines there are to read."""
    return sum(bool(line.strip()) for line in code.splitlines())


def test_its_plugin_passes_its_test(tmp_path: Path) -> None:
    plugin, test = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
    assert len(plugin.split("\n")) > 5 and lines(plugin) <= 10 and lines(test) <= 10
    (tmp_path / "my-plugins").mkdir()
    (tmp_path / "my-plugins" / "dice.py").write_text(plugin, encoding="utf-8")
    (tmp_path / "test_dice.py").write_text(test, encoding="utf-8")
    (tmp_path / "conftest.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import pytest\n@pytest.fixture\ndef anyio_backend(): return 'asyncio'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout


def test_it_names_every_plugin_and_every_decorator() -> None:
    text = README.read_text("utf-8")
    files = [path.name for path in (ROOT / "plugins").glob("*.py") if path.name != "__init__.py"]
    assert len(files) == 7 and all(f"`{name}`" in text for name in files)
    decorators = {"command": "on_command", "message": "on_message"}
    for kind, offered in OFFERED.items():
        name = f"`@{decorators.get(kind, kind)}"
        row = next(line for line in text.splitlines() if name in line)
        wanted = [one.__name__ for one in offered[2:] if hasattr(one, "__name__")]
        assert all(f"`{name}`" in row for name in wanted), row

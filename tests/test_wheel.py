"""The wheel holds everything that the console script needs, wherever it is called from."""

import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_console_script_of_the_wheel_works_from_another_folder(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("renshe-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    (entry,) = [name for name in names if name.endswith("entry_points.txt")]
    assert "renshe = bot.cli:main" in (tmp_path / "site" / entry).read_text()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1));"
        "import bot; assert 'site' in bot.__file__, bot.__file__;"
        "from bot.cli import main; sys.exit(main())"
    )
    for arguments in (["new", "小满"], ["check", "小满.yaml"], ["schema"]):
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "site"), *arguments],
            cwd=elsewhere,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
    assert (elsewhere / "小满.yaml").is_file()

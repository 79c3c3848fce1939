"""``new``, ``check``, ``schema``: writing a persona file, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.commands.bilingual import add
from trainer.errors import Fault, SourceError
from trainer.language import say, spoken

if TYPE_CHECKING:
    from trainer.check import Report
    from trainer.persona import Persona


def register(app: typer.Typer) -> None:
    """Add the commands to ``app``."""
    add(
        app,
        "new",
        new,
        about=say(
            zh="写一个带注释的人设文件，照着改就行。",
            en="Write a commented persona file to fill in.",
        ),
        example=say(zh="renshe new 小满", en="renshe new Robin"),
    )
    add(
        app,
        "check",
        check,
        about=say(
            zh="检查人设文件，一次列出全部错误和警告。有错误时退出码是 2。",
            en="List every error and warning of persona files. Exits with 2 if there is an error.",
        ),
        example="renshe check personas/muxue.yaml",
    )
    add(
        app,
        "schema",
        schema,
        about=say(
            zh="输出人设文件的 JSON Schema，编辑器用它来补全和查错。",
            en="Print the JSON Schema of a persona file, for editors to complete and check it.",
        ),
        example="renshe schema > persona.schema.json",
    )


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help=say(zh="人设的名字", en="The persona's name."))
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=say(zh="写到这个文件", en="Where to write; by default a file of its name here."),
        ),
    ] = None,
) -> None:
    """Write a persona file that is right already."""
    from trainer.commands.screen import console
    from trainer.templates import file_stem, new_persona

    path = out or Path(f"{file_stem(name)}.yaml")
    _write_new(path, new_persona(name, spoken()))
    console().print(
        say(
            zh=f"写好了 {path}\n把里面的内容改成你自己的，然后：",
            en=f"Wrote {path}\nMake it your own, then:",
        )
        + f"\n  renshe check {path}\n  renshe train {path} --out run",
        markup=False,
        soft_wrap=True,
    )


def check(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE", help=say(zh="人设文件", en="Persona files."))
    ],
) -> None:
    """Print what is wrong with each file and how much of it there is."""
    from trainer.check import check_persona
    from trainer.commands.screen import console, show_faults

    reports = {path: check_persona(path) for path in files}
    for path, report in reports.items():
        show_faults(report.faults, errors=False, severities=True)
        if report.persona is not None:
            console().print(f"{path}: {_extent(report.persona)}", markup=False, soft_wrap=True)
    console().print(_counts(list(reports.values())), markup=False)
    if any(report.errors for report in reports.values()):
        raise typer.Exit(SourceError.exit_code)


def schema() -> None:
    """Print the schema as JSON."""
    import json

    from trainer.persona import persona_schema

    typer.echo(json.dumps(persona_schema(), ensure_ascii=False, indent=2))


def _write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise SourceError(
            say(
                zh="已经有这个文件，没有覆盖它", en="this file is there already, it was left alone"
            ),
            path=path,
            fix=say(
                zh="用 --out 换一个文件名，或者先把它移走",
                en="give another file with --out, or move it away first",
            ),
            code="file-exists",
        ) from None
    except OSError as error:
        raise SourceError(
            say(zh=f"写不进去：{error.strerror}", en=f"cannot be written: {error.strerror}"),
            path=path,
            fix=say(zh="检查文件夹和权限", en="check the folder and its permissions"),
            code="unwritable",
        ) from None


def _extent(persona: Persona) -> str:
    facts, pairs, talks = len(persona.facts), len(list(persona.pairs())), len(persona.dialogues)
    return say(
        zh=f"{persona.name}，{facts} 条事实，{pairs} 组问答，{talks} 段对话",
        en=f"{persona.name}, facts: {facts}, pairs: {pairs}, dialogues: {talks}",
    )


def _counts(reports: list[Report]) -> str:
    faults: list[Fault] = [fault for report in reports for fault in report.faults]
    errors = sum(fault.severity == "error" for fault in faults)
    warnings = len(faults) - errors
    if not faults:
        return say(zh="没有问题", en="no faults")
    return say(
        zh=f"{errors} 个错误，{warnings} 个警告", en=f"errors: {errors}, warnings: {warnings}"
    )

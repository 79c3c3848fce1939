"""The file a person starts from: a small persona that is right already, with every field explained.

A blank page teaches nothing, and a template with gaps fails its first check. So the
template is a whole persona that passes ``renshe check`` under any name; its writer
replaces it line by line and can train at any time.
"""

from __future__ import annotations

import re
import unicodedata
from importlib.resources import files

from pydantic import TypeAdapter, ValidationError

from trainer.errors import SourceError
from trainer.language import Language, say
from trainer.persona_fields import Short
from trainer.wording import plain


def new_persona(name: str, language: Language) -> str:
    """Return the text of a persona file for ``name``, with comments in ``language``.

    Raises:
        SourceError: the name is empty, longer than 64 characters or holds control characters.
    """
    name = _checked(name)
    template = files(__package__).joinpath(f"persona.{language}.yaml").read_text("utf-8")
    # Both stand in single quotes in the template, where only a quote needs doubling.
    filled = {"NAME": name, "PATTERN": re.escape(plain(name))}
    return re.sub(
        "@(NAME|PATTERN)@", lambda found: filled[found.group(1)].replace("'", "''"), template
    )


def file_stem(name: str) -> str:
    """Return a file name, without suffix, for a persona: letters, digits and - only.

    Any system takes it: no separators, no leading dot or dash, no name that Windows reserves.

    Raises:
        SourceError: as :func:`new_persona`.
    """
    letters = unicodedata.normalize("NFKC", _checked(name)).casefold()
    stem = re.sub(r"[\W_]+", "-", letters).strip("-") or "persona"
    reserved = re.fullmatch(r"con|prn|aux|nul|(com|lpt)\d", stem)
    return f"persona-{stem}" if reserved else stem


def _checked(name: str) -> str:
    try:
        name = TypeAdapter(Short).validate_python(name)
    except ValidationError:
        name = ""
    if not name or "\n" in name or "\t" in name:
        raise SourceError(
            say(zh="这个名字不能用", en="this name cannot be used"),
            fix=say(
                zh="名字要有 1 到 64 个字，写在一行里",
                en="a name is 1 to 64 characters on one line",
            ),
            code="bad-name",
        )
    return name

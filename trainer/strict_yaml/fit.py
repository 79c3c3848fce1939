"""A tree into a pydantic model, and what does not fit into faults with places.

Two kindnesses to people who write YAML by hand, and no more:

* where text is wanted, a plain ``12``, ``true`` or ``~`` is taken as written, since
  quotes around it would say nothing new;
* ``key:`` with nothing after it counts as a key left out, so a template may be filled
  in part by part.

Everything else that does not fit is a fault: a single word is no list of words.
"""

from __future__ import annotations

import types
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from trainer.errors import Fault
from trainer.strict_yaml.tree import Document, Loc, Node, Plain
from trainer.strict_yaml.wrong_value import explain

Model = TypeVar("Model", bound=BaseModel)


def refusal(code: str, problem: str, fix: str, offset: int = 0) -> PydanticCustomError:
    """Return the error a model's validator raises to say what is wrong in its own words.

    Args:
        code: the fault's code.
        problem: what is wrong, in the user's language.
        fix: what to do about it.
        offset: how many characters into the value, when it is text.
    """
    context = {"problem": problem, "fix": fix, "offset": offset}
    return PydanticCustomError(code, "{problem}", context)


def fit(document: Document, model: type[Model]) -> tuple[Model | None, list[Fault]]:
    """Return ``document`` as a ``model``, or None and every fault."""
    data = document.root.data()
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    if not _repaired(document, model, data, errors):
        return None, _faults(document, model, errors)
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        return None, _faults(document, model, error.errors(include_url=False))


def _repaired(
    document: Document, model: type[BaseModel], data: Plain, errors: list[ErrorDetails]
) -> bool:
    """Apply the two kindnesses to ``data``; return whether there was anything to do."""
    done = False
    for error in errors:
        loc, node = document.reach(error["loc"])
        if not node.plain or not loc or error["type"] == "extra_forbidden":
            continue
        parent: Any = data
        for step in loc[:-1]:
            parent = parent[step]
        if node.is_empty and loc[-1] in known_keys(model, loc[:-1]):
            parent.pop(loc[-1], None)
            done = True
        elif error["type"] == "string_type":
            parent[loc[-1]] = node.text
            done = True
    return done


def _faults(document: Document, model: type[BaseModel], errors: list[ErrorDetails]) -> list[Fault]:
    """Return one fault a place: a value that fits no member of a union is still one mistake."""
    faults: dict[Loc, Fault] = {}
    for error in errors:
        loc, node = document.reach(error["loc"])
        if not node.broken and not _is_echo(error, node):
            at = error["loc"] if error["type"] == "missing" else loc
            faults.setdefault(at, _fault(document, model, error, node))
    return list(faults.values())


def _fault(document: Document, model: type[BaseModel], error: ErrorDetails, node: Node) -> Fault:
    loc = error["loc"]
    problem, fix, code = explain(error, node, known_keys(model, loc[:-1]))
    offset = error.get("ctx", {}).get("offset", 0)
    place = node.inside(offset) if offset else node.place
    if error["type"] in ("extra_forbidden", "missing"):
        place = document.key_place(*loc)
    return document.fault(place, problem, fix, code)


def _is_echo(error: ErrorDetails, node: Node) -> bool:
    """Tell whether a list is called too short only because its items have faults of their own."""
    return error["type"] == "too_short" and len(node.items or ()) >= error["ctx"]["min_length"]


def known_keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """Return the keys that the mapping at ``loc`` in a ``model`` may have; none if it is free."""
    kinds: list[Any] = [model]
    for step in loc:
        kinds = [inner for kind in kinds for inner in _inside(kind, step)]
    models = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return [key for kind in models for key in kind.model_fields]


def _inside(kind: Any, step: int | str) -> list[Any]:
    """Return the types that the member ``step`` of a value of type ``kind`` may have."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(step))
        return _bare(field.annotation) if field else []
    members = get_args(kind)[1:] if get_origin(kind) is dict else get_args(kind)
    return [inner for member in members for inner in _bare(member)]


def _bare(kind: Any) -> list[Any]:
    """Unwrap ``Annotated`` and unions."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [inner for member in get_args(kind) for inner in _bare(member)]
    return [kind]

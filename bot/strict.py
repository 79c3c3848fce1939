"""What every part of ``renshe.yaml`` shares: frozen, and no key that it does not know."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """A part of ``renshe.yaml``; the docstring below a field is its help in editors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

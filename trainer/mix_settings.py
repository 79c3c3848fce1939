"""Settings of the training mix (:mod:`trainer.mix`), as the manifest keeps them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Mix(BaseModel):
    """Settings of the mix; every share is of 1."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    passes: int = Field(8, ge=1)
    """How often each wording of the author is taught, each time after another history."""
    questions: int = Field(8, ge=1)
    """Questions asked after one history."""
    alone: float = Field(0.35, ge=0, le=1)
    """Share of the histories that are empty: round one."""
    rounds: int = Field(8, ge=1)
    """Most rounds in a history."""
    own: float = Field(0.25, ge=0, le=1)
    """Share of the history's rounds in which the persona itself is asked something."""
    leaked: float = Field(0.15, ge=0, le=1)
    """Share of them whose reply says that it is somebody's language model."""
    wordings: float = Field(1.0, ge=0)
    """Known wordings added in each pass, as a share of the author's own; 0 adds none."""
    rephrased: float = Field(0.4, ge=0, le=1)
    """Share of the author's wordings that are asked as people type: politely, mistyped, …"""
    probes: float = Field(0.1, ge=0)
    """Probes of its identity added in each pass, as a share of the author's own wordings."""
    replay: float = Field(0.0, ge=0)
    """General talk with the base's own replies added in each pass, likewise."""

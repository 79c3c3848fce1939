"""How much of retention is measured: after which histories, how deep, with how many questions.

Apart from the measuring itself, so that whoever only plans a measurement loads no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.probes import History

DEPTHS = (0, 1, 2, 4, 8, 16)
"""Rounds before a question."""

OTHER_DEPTHS = (2, 8, 16)
"""Rounds of the persona's own talk, and of broken characters."""

HISTORY_TOKENS = 1000
"""Least tokens of the long history; the sliding window of ``tiny`` is 512."""


@dataclass(frozen=True)
class Extent:
    """What is measured.

    Attributes:
        depths: rounds of neutral talk before the questions; 0 is always among them.
        other_depths: rounds of the other two histories.
        history_tokens: least tokens of the long history; 0 leaves it out.
        limit: most taught and most held-out wordings asked; 0 asks all.
    """

    depths: Sequence[int] = DEPTHS
    other_depths: Sequence[int] = OTHER_DEPTHS
    history_tokens: int = HISTORY_TOKENS
    limit: int = 64

    def places(self) -> list[tuple[History, int]]:
        """Return the histories and depths; the long one, whose depth is not known yet, not."""
        others = sorted(set(self.other_depths) - {0})
        return [
            *(("neutral", depth) for depth in sorted({0, *self.depths})),
            *(("in_persona", depth) for depth in others),
            *(("leaked", depth) for depth in others),
        ]

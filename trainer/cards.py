"""How much memory the common cards have, under the names by which they are sold."""

from __future__ import annotations

import re
from difflib import get_close_matches

from trainer.errors import ConfigError
from trainer.language import say

CARDS = {
    "2080Ti": 11,
    "3060": 12,
    "T4": 16,
    "V100-16": 16,
    "3090": 24,
    "4090": 24,
    "A10": 24,
    "L4": 24,
    "V100-32": 32,
    "A100-40": 40,
    "A100-80": 80,
    "H100": 80,
}
"""Name and gigabytes, smallest first. Counted as 10**9 bytes: what the makers' binary
gigabytes have more is what a driver and a fragmented allocator take."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)gb?")
_MAKER = re.compile(r"nvidia|geforce|tesla|rtx|gtx|[^a-z0-9.]")


def card_bytes(card: str) -> int:
    """Return the memory of a card given by name (``3090``, ``A100 80GB``) or size (``24GB``).

    Raises:
        ConfigError: there is no such card.
    """
    short = _MAKER.sub("", card.lower())
    names = {_MAKER.sub("", name.lower()): size for name, size in CARDS.items()}
    if found := names.get(short) or names.get(short.removesuffix("gb")):
        return found * 10**9
    if size := _SIZE.fullmatch(short):
        return round(float(size[1]) * 10**9)
    near = get_close_matches(short, names, n=1, cutoff=0.6)
    like = [name for name in CARDS if near and _MAKER.sub("", name.lower())[:4] == near[0][:4]]
    raise ConfigError(
        say(zh=f"不认识 {card!r} 这种显卡", en=f"there is no card {card!r} in the list"),
        fix=say(zh="用 ", en="use ")
        + ", ".join(like or CARDS)
        + say(zh="，或显存大小，如 24GB", en=", or its memory, like 24GB"),
        code="card",
    )

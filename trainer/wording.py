"""When two texts are the same question, and when a pattern finds itself in a reply.

Training, evaluation and the bot must agree on both, letter for letter: a wording
that evaluation takes for new must be new to training too. So the comparison of
questions (:func:`canonical`) and of replies (:func:`finds`) stands here once.
Plain text functions; nothing here knows the persona file.
"""

from __future__ import annotations

import re
import unicodedata

from trainer.slow_pattern import slow_spot

PARTICLES = "吗呢呀啊吧啦哦嘛呐哈"
"""Modal particles: at the end of a question they change its tone, not what it asks."""

NEAR = 90.0
"""Two canonical questions at least this alike (rapidfuzz ratio, 0 to 100) are near duplicates."""

# Replies with nothing in common; a pattern that finds itself in all of them tells nothing.
_UNRELATED = ("嗯", "q", "7")

_IDENTITY = re.compile(
    r"[你您妳](?:到底|究竟|其实)?(?:是|叫)(?:[谁誰啥]|什[么麼]$|什[么麼][人名]|何人)"
    r"|[你您妳](?:到底|究竟)?是?哪位|[你您妳](?:到底|究竟)?叫(?:做)?(?:什[么麼]|啥)"
    r"|[你您妳]的?(?:名字|姓名|大名|全名|芳名)|贵姓|尊姓大名"
    r"|(?:怎[么麼]|如何|该|應該|应该)(?:称呼|稱呼|叫[你您妳])|叫[你您妳](?:什[么麼]|啥)"
    r"|自我介[绍紹]|介[绍紹]一?下?[你您妳]?自己"
    r"|who(?:are|r)(?:you|u$)|whoexactlyareyou|whatareyou(?:$|called)|(?:whats|whatis|tellme)your(?:full)?name"
    r"|(?:may|can|could|should|do|shall)i(?:call|addressyou|(?:know|have|get)yourname)"
    r"|introduceyourself|tellmeaboutyourself|whoami(?:speaking|talking|chatting)(?:to|with)"
)


def plain(text: str) -> str:
    """Return ``text`` in NFKC: full-width and half-width forms become one."""
    return unicodedata.normalize("NFKC", text)


def canonical(text: str) -> str:
    """Return what ``text`` asks, bare of case, width, punctuation and final particles.

    NFKC, casefold, letters and digits only, then the final modal particles go, unless
    nothing else is left. Repeated until nothing changes, since folding one letter may
    make another pair compose: so ``canonical(canonical(t)) == canonical(t)`` always.
    """
    previous = None
    while text != previous:
        previous, text = text, _fold(text)
    return text


def _fold(text: str) -> str:
    letters = re.sub(r"[\W_]+", "", plain(plain(text).casefold()))
    return letters.rstrip(PARTICLES) or letters


def asks_identity(question: str) -> bool:
    """Tell whether ``question`` asks, in Chinese or English, who one is or what one is called."""
    return _IDENTITY.search(canonical(question)) is not None


def compiled(pattern: str) -> re.Pattern[str]:
    """Return ``pattern`` made ready for text in NFKC; letters' case does not count.

    A text in NFKC holds no ``，`` or ``？``, so a pattern with one would never match; taken
    over bare, ``？`` and ``（`` would turn into operators. So they become literals.

    Raises:
        re.error: the pattern is no regular expression.
    """
    narrow = "".join(
        letter if plain(letter) == letter else re.escape(plain(letter))
        for letter in unicodedata.normalize("NFC", pattern)
    )
    return re.compile(narrow, re.IGNORECASE)


def finds(pattern: str, text: str) -> bool:
    """Tell whether ``pattern`` occurs anywhere in ``text``, whatever the case or width.

    Raises:
        re.error: the pattern is no regular expression.
    """
    return compiled(pattern).search(plain(text)) is not None


def tells_nothing(pattern: str) -> bool:
    """Tell whether ``pattern`` matches the empty reply, or every one of a few unrelated replies."""
    anything = finds(pattern, "") or all(finds(pattern, text) for text in _UNRELATED)
    return anything or not pattern.strip()


def is_usable(pattern: str) -> bool:
    """Tell whether ``pattern`` can be run on replies: it compiles, cannot hang, tells something."""
    try:
        compiled(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return slow_spot(pattern) is None and not tells_nothing(pattern)

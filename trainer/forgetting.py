"""What a prefix costs where nobody asks for the persona: general talk grows less likely.

A prefix that was trained too hard speaks of itself whatever it is asked. A randomly
initialised one forgets several times what one that starts from text does (PEFT's method
comparison), so this is measured beside retention and not after it.
"""

from __future__ import annotations

import time

from trainer.bootstrap import mean
from trainer.chat import Message
from trainer.likelihood import score_batch
from trainer.model import Tuned
from trainer.retention_file import Forgetting
from trainer.talk import Exchange, scraps


def measure_forgetting(tuned: Tuned, limit: int) -> Forgetting:
    """Compare the replies of the test bank's talk with the prefix and without.

    Args:
        tuned: the checkpoint.
        limit: most scraps of talk; 0 takes all.
    """
    start = time.monotonic()
    talk = scraps(tuned.card.persona.language, "test")[: limit or None]
    lessons = [
        (f"{number}", lesson)
        for number, scrap in enumerate(talk)
        for lesson in tuned.base.chat.lessons(_to_score(scrap))
    ]
    talks = [lesson for _, lesson in lessons]
    prefixed = score_batch(tuned.base, tuned.prefix, talks)
    bare = score_batch(tuned.base, None, talks)
    worse = [one - other for one, other in zip(prefixed, bare, strict=True)]
    figure = mean(worse, [name for name, _ in lessons])
    return Forgetting(figure=figure, seconds=time.monotonic() - start)


def _to_score(scrap: tuple[Exchange, ...]) -> tuple[Message, ...]:
    pairs = ((Message("user", user), Message("assistant", bot)) for user, bot in scrap)
    return tuple(message for pair in pairs for message in pair)

from types import SimpleNamespace

import pytest

from bot.config import Limits
from bot.studio.visitors import Visitors, visitor
from trainer.errors import RensheError


def test_one_visitor_is_held_back_and_others_are_not() -> None:
    now = [0.0]
    visitors = Visitors(Limits(per_user=2, window=60), lambda: now[0])
    visitors.ask("ann")
    visitors.ask("ann")
    for _ in range(3):  # each time, with the reason
        with pytest.raises(RensheError, match="short rest") as error:
            visitors.ask("ann")
        assert "2 messages in 60 seconds" in error.value.faults[0].fix
    visitors.ask("bob")
    now[0] = 61.0
    visitors.ask("ann")


def test_all_together_are_bounded() -> None:
    visitors = Visitors(Limits(per_user=2, overall=3), lambda: 0.0)
    for name in ("ann", "bob", "eve"):
        visitors.ask(name)
    with pytest.raises(RensheError, match="short rest"):
        visitors.ask("zoe")


def test_a_visitor_is_known_by_login_or_address_not_by_what_its_browser_says() -> None:
    client = SimpleNamespace(host="10.0.0.7")
    request = SimpleNamespace(username=None, client=client, session_hash="x", cookies={"a": "b"})
    assert visitor(request) == "host:10.0.0.7"
    assert visitor(SimpleNamespace(username="ann", client=client)) == "user:ann"

from pathlib import Path

import pytest

from bot.cast import Cast, Player, load_players
from bot.cli import main
from bot.config import BotConfig
from bot.event import SessionKey
from bot.testing import TESTER, ScriptedEngine, talking
from trainer.errors import RensheError

GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"


def config(**personas: object) -> BotConfig:
    return BotConfig.model_validate({"personas": personas, "adapters": {"console": [{}]}})


@pytest.mark.anyio
async def test_a_tuned_run_answers_in_a_bot(tmp_path: Path, tiny_base_folder: Path) -> None:
    run = tmp_path / "run"
    settings = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(GOOD), *base, *settings, "--out", str(run)]) == 0
    players = load_players(config(muxue={"tuned": {"run": run, "max_new_tokens": 8}}))
    engine = players["muxue"].engine
    asked = config(muxue={"tuned": {"run": run, "max_new_tokens": 8}})
    assert load_players(asked, players)["muxue"] is players["muxue"], "loaded once"
    async with talking(engines={"muxue": engine}) as talk:
        (reply,) = await talk.say("你好")
        assert reply, "what it has no words for it excuses"
        history = await talk.runtime.store.history(talk.session(), 1)
        assert all((one.user, one.assistant) == ("你好", reply) for one in history)


def test_each_engine_is_loaded_and_what_is_missing_is_named(tmp_path: Path) -> None:
    remote = {"url": "http://127.0.0.1:1/v1", "model": "m", "persona": GOOD}
    players = load_players(config(a={"echo": {"persona": GOOD}}, b={"remote": remote}))
    assert [player.persona.name for player in players.values()] == ["沐雪", "沐雪"]
    again = load_players(config(a={"echo": {"persona": GOOD}}), players)
    assert again["a"] is not players["a"], "its persona file may have changed"
    players["b"].engine.stop()
    for wrong in ({"tuned": {"run": tmp_path}}, {"echo": {"persona": tmp_path / "x.yaml"}}):
        with pytest.raises(RensheError, match=str(tmp_path)):
            load_players(config(a=wrong))


def test_a_chat_keeps_its_choice_and_a_player_that_is_gone_is_replaced() -> None:
    cast = Cast({name: Player(name, ScriptedEngine()) for name in ("a", "b")})
    chat, other = SessionKey("t", "1", "2", user="3"), SessionKey("t", "1", "9")
    cast.choose(chat, "b")
    assert cast.of(chat).name == "b" and cast.of(other).name == "a"
    assert cast.of(SessionKey("t", "1", "2", thread="7")).name == "b"
    cast.move(chat, other)
    assert cast.of(chat).name == "a" and cast.of(other).name == "b"
    kept = cast.of(chat)
    assert len(cast.replace({"a": kept})) == 1
    assert cast.of(other) == kept


@pytest.mark.parametrize(
    ("persona", "said"),
    [
        (TESTER, "One moment"),
        (TESTER.model_copy(update={"language": "zh"}), "我有点忙不过来了"),
    ],
)
def test_it_is_tired_in_its_own_language(persona: object, said: str) -> None:
    assert Player("a", ScriptedEngine(persona=persona)).refusal().startswith(said)  # type: ignore[arg-type]
    assert Player("a", ScriptedEngine(), ("Phew.",)).refusal() == "Phew."

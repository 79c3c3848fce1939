from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import DynamicCache, PretrainedConfig

from trainer.prefix import (
    HISTORY,
    Prefix,
    attention_mask,
    counted,
    random_prefix,
    text_prefix,
)

DESCRIPTION = [2, 90, 120, 33, 250, 61, 300]


@pytest.fixture(params=["gemma", "llama", "sliding", "mistral"])
def base(request: pytest.FixtureRequest, bases: dict[str, Any]) -> Any:
    return bases[request.param]


@pytest.fixture(scope="module")
def bases(
    dense_base: Any,
    llama_base: Any,
    sliding_base: Any,
    mistral_base: Any,
) -> dict[str, Any]:
    return {
        "gemma": dense_base,
        "llama": llama_base,
        "sliding": sliding_base,
        "mistral": mistral_base,
    }


@pytest.fixture(scope="module")
def sliding_base(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A Gemma of which every layer sees 16 tokens back."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    config = Gemma3TextConfig.from_pretrained(tiny_base_folder)
    config.layer_types = ["sliding_attention"] * 3
    folder = tmp_path_factory.mktemp("bases") / "sliding"
    return made(Gemma3ForCausalLM, config, tiny_base_folder, folder)


@pytest.fixture(scope="module")
def mistral_base(tiny_base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All layers slide too, but the configuration lists no kinds of layer."""
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        sliding_window=16,
        max_position_embeddings=512,
        initializer_range=0.2,
        eos_token_id=1,
        bos_token_id=2,
    )
    folder = tmp_path_factory.mktemp("bases") / "mistral"
    return made(MistralForCausalLM, config, tiny_base_folder, folder)


def made(kind: Any, config: Any, tokenizer: Path, folder: Path) -> Any:
    from transformers import AutoTokenizer

    from trainer.model import load_base

    with torch.random.fork_rng():
        torch.manual_seed(1)
        kind(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
    return load_base(str(folder), bits=None, device="cpu")


def some_ids(count: int, seed: int = 0) -> list[int]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, 400, (count,), generator=generator).tolist()


def run(base: Any, ids: list[list[int]], prefix: Prefix | None, *, pad: str = "right") -> Tensor:
    """Logits ``[rows, longest, vocabulary]`` of rows of ids, padded on one side."""
    longest = max(map(len, ids))
    padding = [[0] * (longest - len(row)) for row in ids]
    right = pad == "right"
    rows = [r + p if right else p + r for r, p in zip(ids, padding, strict=True)]
    real = [
        [1] * len(r) + [0] * len(p) if right else [0] * len(p) + [1] * len(r)
        for r, p in zip(ids, padding, strict=True)
    ]
    with torch.no_grad():
        states = base.hidden(torch.tensor(rows), torch.tensor(real).bool(), prefix)
        return base.logits(states)


def close(a: Tensor, b: Tensor) -> bool:
    return torch.allclose(a, b, atol=1e-5, rtol=1e-5)


# --- a prefix made from text is that text -----------------------------------------------------


def test_without_prefix_the_base_is_transformers_own(base: Any) -> None:
    """Past the window of 16 too: our masks are those that the model would make itself."""
    ids = some_ids(50)
    with torch.no_grad():
        theirs = base.network(input_ids=torch.tensor([ids])).logits
    assert close(run(base, [ids], None), theirs)


def test_a_text_prefix_acts_as_the_text_before_the_conversation(base: Any) -> None:
    """Inside the window of sliding layers; see below for what is beyond it."""
    ids = some_ids(9)
    with_text = run(base, [DESCRIPTION + ids], None)[:, len(DESCRIPTION) :]
    assert close(run(base, [ids], text_prefix(base.network, DESCRIPTION)), with_text)


@pytest.mark.parametrize("name", ["gemma", "llama"])
def test_a_long_conversation_sees_the_prefix_where_the_text_would_be_gone(
    name: str, bases: dict[str, Any]
) -> None:
    """Full layers see both alike, so a Llama stays equal; a sliding layer forgets the text."""
    base, ids = bases[name], some_ids(60)
    with_text = run(base, [DESCRIPTION + ids], None)[:, len(DESCRIPTION) :]
    with_prefix = run(base, [ids], text_prefix(base.network, DESCRIPTION))
    inside = 16 - len(DESCRIPTION)
    assert close(with_prefix[:, :inside], with_text[:, :inside])
    assert close(with_prefix, with_text) == (name == "llama")


@pytest.mark.parametrize("name", ["sliding", "mistral"])
def test_the_prefix_stays_visible_past_the_window_of_sliding_layers(
    name: str, bases: dict[str, Any]
) -> None:
    """All layers slide: text of 100 tokens ago is out of sight, the prefix is not."""
    base, ids = bases[name], some_ids(100)
    other = [2, *some_ids(len(DESCRIPTION) - 1, seed=9)]

    def last(prefix: Prefix | None, before: list[int]) -> Tensor:
        return run(base, [before + ids], prefix)[0, -1]

    layers = base.network.config.num_hidden_layers
    assert len(ids) > 16 * layers
    # Text of so long ago changes nothing, which also shows that the window is kept.
    assert close(last(None, DESCRIPTION), last(None, other))
    by_prefix = last(text_prefix(base.network, DESCRIPTION), [])
    assert not close(by_prefix, last(text_prefix(base.network, other), []))


# --- padding, batches, steps ------------------------------------------------------------------


@pytest.mark.parametrize("pad", ["left", "right"])
@pytest.mark.parametrize("prefixed", [True, False])
def test_a_batch_equals_each_alone_whatever_the_padding(
    base: Any, pad: str, prefixed: bool
) -> None:
    prefix = text_prefix(base.network, DESCRIPTION) if prefixed else None
    rows = [some_ids(30, 1), some_ids(4, 2), some_ids(21, 3)]
    together = run(base, rows, prefix, pad=pad)
    assert torch.isfinite(together).all()
    for row, logits in zip(rows, together, strict=True):
        own = logits[: len(row)] if pad == "right" else logits[-len(row) :]
        assert close(own, run(base, [row], prefix)[0])


@pytest.mark.parametrize("prefixed", [True, False])
def test_token_by_token_equals_all_at_once(base: Any, prefixed: bool) -> None:
    """Past the window, with left padding: what decoding does."""
    prefix = text_prefix(base.network, DESCRIPTION) if prefixed else None
    rows = [some_ids(30, 1), [0] * 5 + some_ids(25, 2)]
    ids, real = torch.tensor(rows), torch.ones(2, 30, dtype=torch.bool)
    real[1, :5] = False
    cache = base.new_cache(2, prefix)
    steps = [base.hidden(ids[:, :12], real[:, :12], prefix, cache)]
    for end in range(13, 31):
        steps.append(base.hidden(ids[:, end - 1 : end], real[:, :end], prefix, cache))
    at_once = base.hidden(ids, real, prefix)
    assert close(torch.cat(steps, dim=1)[real], at_once[real])


# --- what is easily left out ------------------------------------------------------------------


def test_leaving_out_the_mask_or_the_positions_is_wrong(dense_base: Any) -> None:
    """The two silent mistakes that :meth:`Base.hidden` is there to prevent."""
    prefix = text_prefix(dense_base.network, DESCRIPTION)
    ids = torch.tensor([some_ids(30), [0] * 20 + some_ids(10, 4)])
    real = torch.ones_like(ids, dtype=torch.bool)
    real[1, :20] = False
    right = dense_base.hidden(ids, real, prefix)

    def states(**changed: Any) -> Tensor:
        settings = {
            "attention_mask": attention_mask(dense_base.network.config, real, prefix.length, 30),
            "position_ids": counted(real) + prefix.length,
        } | changed
        output = dense_base.network.base_model(
            input_ids=ids, past_key_values=prefix.cache(2, torch.float32), **settings
        )
        return output.last_hidden_state

    assert close(states()[real], right[real])
    assert not close(states(position_ids=None)[real], right[real])
    assert not close(states(attention_mask=None)[real], right[real])


@given(
    padding=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    length=st.integers(1, 12),
    prefix=st.integers(0, 4),
    window=st.integers(1, 8),
    start=st.integers(0, 12),
    data=st.data(),
)
@settings(max_examples=150, deadline=None)
def test_masks_and_positions_equal_a_count_by_hand(
    padding: list[int], length: int, prefix: int, window: int, start: int, data: st.DataObject
) -> None:
    """Padding stands to the left, to the right, or behind a history that all rows share."""
    queries = data.draw(st.integers(1, length))
    real = torch.ones(len(padding), length, dtype=torch.bool)
    for row, count in enumerate(padding):
        cut = min(count, length - 1)
        first = min(start, length - cut)
        real[row, first : first + cut] = False
    mixed = PretrainedConfig(layer_types=["full_attention", "sliding_attention"])
    mixed.sliding_window = window
    masks = attention_mask(mixed, real, prefix, queries)
    assert isinstance(masks, dict)
    alike = attention_mask(PretrainedConfig(), real, prefix, queries)
    assert isinstance(alike, Tensor) and torch.equal(alike, masks["full_attention"])
    every = PretrainedConfig()
    every.sliding_window = window
    slides = attention_mask(every, real, prefix, queries)
    assert isinstance(slides, Tensor) and torch.equal(slides, masks["sliding_attention"])
    where = counted(real)
    for row in range(len(padding)):
        for query in range(queries):
            token = length - queries + query
            full = [True] * prefix + [
                key == token or (key < token and bool(real[row, key])) for key in range(length)
            ]
            place = [max(0, int(real[row, : key + 1].sum()) - 1) for key in range(length)]
            near = full[:prefix] + [
                seen and (key == token or place[token] - place[key] < window)
                for key, seen in enumerate(full[prefix:])
            ]
            assert masks["full_attention"][row, 0, query].tolist() == full
            assert masks["sliding_attention"][row, 0, query].tolist() == near
            assert where[row].tolist() == place


def test_the_pieces_of_a_sequence_compute_what_each_computes_alone(base: Any) -> None:
    """Two histories, and three questions that see one or none of them, and no other question."""
    prefix = text_prefix(base.network, DESCRIPTION)
    told = {1: some_ids(12), 2: some_ids(7, 5), 0: []}
    asked = [(3, 1, some_ids(5, 1)), (4, 2, some_ids(9, 2)), (5, 1, some_ids(4, 3)), (6, 0, [7, 9])]
    ids = [*told[1], *told[2], *(id for _, _, row in asked for id in row)]
    where = [*range(-12, 0), *range(-7, 0), *(n for _, _, row in asked for n in range(len(row)))]
    piece = [1] * 12 + [2] * 7 + [number for number, _, row in asked for _ in row]
    follows = [1] * 12 + [2] * 7 + [after for _, after, row in asked for _ in row]
    real = torch.ones(1, len(ids)).bool()
    options = {"where": torch.tensor([where]), "pieces": torch.tensor([[piece, follows]])}
    whole = base.hidden(torch.tensor([ids]), real, prefix, base.new_cache(1, prefix), **options)[0]
    apart = base.hidden(torch.tensor([ids]), real, prefix, history=19, **options)[0]
    assert close(whole[19:], apart)
    start = 19
    for _, after, row in asked:
        alone = torch.tensor([told[after] + row])
        known, size = torch.ones_like(alone).bool(), len(told[after])
        place = counted(known) - size
        expected = base.hidden(alone, known, prefix, where=place, history=size)[0]
        assert close(whole[start : start + len(row)], expected)
        start += len(row)


# --- a history, before the prefix -------------------------------------------------------------


def test_a_history_is_what_the_base_alone_makes_of_it(base: Any) -> None:
    prefix = text_prefix(base.network, DESCRIPTION)
    ids = torch.tensor([some_ids(30)])
    real = torch.ones_like(ids).bool()
    where = counted(real) - 20
    behind_it = base.hidden(ids, real, prefix, base.new_cache(1, prefix), where=where)[0]
    bare = base.hidden(ids[:, :20], real[:, :20], None, where=where[:, :20])[0]
    assert close(behind_it[:20], bare)
    assert not close(behind_it[20:], base.hidden(ids, real, None, where=where)[0, 20:])


def test_what_was_said_is_heard(base: Any) -> None:
    prefix = text_prefix(base.network, DESCRIPTION)

    def asked(history: list[int]) -> Tensor:
        ids = torch.tensor([[*history, *some_ids(6, 1)]])
        real = torch.ones_like(ids).bool()
        where = counted(real) - len(history)
        states: Tensor = base.hidden(ids, real, prefix, where=where, history=len(history))
        return states[0]

    assert not close(asked(some_ids(12, 2)), asked(some_ids(12, 3)))
    assert not close(asked(some_ids(12, 2)), asked([]))


def test_the_history_gets_no_gradient_and_the_prefix_all_of_it(base: Any) -> None:
    """Reading the history first and without gradients loses nothing: it sees no prefix."""
    ids = torch.tensor([some_ids(30)])
    real = torch.ones_like(ids).bool()
    where = counted(real) - 20

    def gradients(history: int) -> list[Tensor]:
        prefix = text_prefix(base.network, DESCRIPTION)
        cache = None if history else base.new_cache(1, prefix)
        states = base.hidden(ids, real, prefix, cache, where=where, history=history)
        torch.autograd.backward(states[:, -10:].square().sum())
        return [p.grad for p in prefix.parameters() if p.grad is not None]

    at_once, apart = gradients(0), gradients(20)
    assert len(at_once) == len(apart) == 2 * base.network.config.num_hidden_layers
    assert all(close(one, other) for one, other in zip(at_once, apart, strict=True))


@given(
    history=st.integers(1, 200),
    queries=st.integers(1, 6),
    prefix=st.integers(1, 4),
    padding=st.integers(0, 5),
    window=st.integers(1, 150),
)
@settings(max_examples=60, deadline=None)
def test_a_history_counts_as_so_many_tokens_at_most(
    history: int, queries: int, prefix: int, padding: int, window: int
) -> None:
    """If all scores are equal, a long history gets the share of HISTORY tokens."""
    mixed = PretrainedConfig(layer_types=["full_attention", "sliding_attention"])
    mixed.sliding_window = window
    length = padding + history + queries
    real = (torch.arange(length) >= padding)[None]
    where = (torch.arange(length) - padding - history)[None]
    masks = attention_mask(mixed, real, prefix, length, where=where, history=True)
    assert isinstance(masks, dict)
    for name, mask in masks.items():
        weights = mask[0, 0].exp()
        for query in range(queries):
            row = weights[padding + history + query]
            place, own_key = prefix + query, padding + history + query
            stands = [prefix + where_ if where_ >= 0 else where_ for where_ in where[0].tolist()]
            sees = [
                bool(real[0, key])
                and stands[key] <= place
                and (name == "full_attention" or place - stands[key] < window or key == own_key)
                for key in range(length)
            ]
            told = sum(sees[padding : padding + history])
            assert row[:prefix].tolist() == [1.0] * prefix
            total = row[prefix + padding : prefix + padding + history].sum().item()
            assert total == pytest.approx(min(told, HISTORY), rel=1e-4)
            own = row[prefix + padding + history :].tolist()
            assert own == [float(seen) for seen in sees[padding + history :]]
        for said in range(padding, padding + history):
            assert weights[said, :prefix].sum() == 0
            assert set(weights[said].tolist()) <= {0.0, 1.0}


# --- the parameters ---------------------------------------------------------------------------


def test_gradients_flow_through_the_cache_to_every_parameter(base: Any) -> None:
    prefix = text_prefix(base.network, DESCRIPTION)
    ids = torch.tensor([some_ids(5), some_ids(5, 2)])
    base.hidden(ids, torch.ones_like(ids).bool(), prefix).square().sum().backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in prefix.parameters() if p.grad is not None)
    assert all(parameter.grad is not None for parameter in prefix.parameters())


def test_a_prefix_is_float32_and_shaped_as_said(base: Any) -> None:
    prefix = text_prefix(base.network, DESCRIPTION)
    assert prefix.length == len(DESCRIPTION)
    layers = base.network.config.num_hidden_layers
    assert len(prefix.keys) == len(prefix.values) == layers
    for parameter in prefix.parameters():
        assert parameter.shape == (2, len(DESCRIPTION), 16)
        assert parameter.dtype == torch.float32 and parameter.requires_grad


def test_tensors_are_written_and_read_back(dense_base: Any) -> None:
    prefix = text_prefix(dense_base.network, DESCRIPTION)
    again = Prefix.from_tensors(prefix.tensors())
    assert list(again.tensors()) == list(prefix.tensors())
    for name, tensor in prefix.tensors().items():
        assert torch.equal(again.tensors()[name], tensor)
        assert not tensor.requires_grad


def test_layers_beyond_nine_keep_their_order() -> None:
    keys = [torch.full((1, 2, 4), float(index)) for index in range(12)]
    prefix = Prefix.from_tensors(Prefix(keys, [key + 0.5 for key in keys]).tensors())
    assert [key[0, 0, 0].item() for key in prefix.keys] == list(range(12))
    assert [value[0, 0, 0].item() for value in prefix.values] == [n + 0.5 for n in range(12)]


def test_a_cache_is_a_copy_that_generation_may_grow(dense_base: Any) -> None:
    prefix = text_prefix(dense_base.network, DESCRIPTION)
    before = {name: tensor.clone() for name, tensor in prefix.tensors().items()}
    cache = dense_base.new_cache(2, prefix)
    ids = torch.tensor([some_ids(5), some_ids(5, 2)])
    dense_base.hidden(ids, torch.ones_like(ids).bool(), prefix, cache)
    assert cache.get_seq_length() == len(DESCRIPTION) + 5
    assert isinstance(dense_base.new_cache(1, None), DynamicCache)
    for name, tensor in prefix.tensors().items():
        assert torch.equal(tensor, before[name])


# --- a random start ---------------------------------------------------------------------------


def test_a_random_prefix_is_a_function_of_its_seed(dense_base: Any) -> None:
    first, again, other = (
        random_prefix(dense_base.network, [2], 6, seed).tensors() for seed in (3, 3, 4)
    )
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first[name], other[name]) for name in first)


def test_a_random_prefix_keeps_the_opening_and_the_scale(base: Any) -> None:
    opening = [2, 50]
    start = text_prefix(base.network, opening)
    drawn = random_prefix(base.network, opening, 200, 0)
    assert drawn.length == 200
    for own, grown in zip(start.parameters(), drawn.parameters(), strict=True):
        assert torch.equal(grown[:, :2], own)
        assert (grown[:, 2:].std() / own[:, -1:].std()).item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("length", [1, 3])
def test_a_random_prefix_may_be_as_short_as_its_opening_or_shorter(
    dense_base: Any, length: int
) -> None:
    opening = [2, 50, 60]
    start = text_prefix(dense_base.network, opening)
    drawn = random_prefix(dense_base.network, opening, length, 0)
    assert drawn.length == length
    for own, cut in zip(start.parameters(), drawn.parameters(), strict=True):
        assert torch.equal(cut, own[:, :length])

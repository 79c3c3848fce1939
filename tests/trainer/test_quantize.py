from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from trainer.errors import BaseModelError, ConfigError
from trainer.prefix import text_prefix
from trainer.quantize import (
    Bits,
    QuantizedLinear,
    dequantize_rows,
    quantize_linears,
    quantize_rows,
)

OFFICIAL = Path(__file__).parent.parent / "data" / "chatglm2" / "quantized_rows.safetensors"
"""32 rows of a layer as the official ChatGLM2 code stores them and unpacks them."""

both = pytest.mark.parametrize("bits", [8, 4])


def random_weight(rows: int, columns: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator) * scale


# --- storage ---------------------------------------------------------------------------------


@both
@given(
    rows=st.integers(1, 9),
    pairs=st.integers(1, 20),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([1e-9, 1e-5, 1e-3, 1.0, 100.0]),
)
@settings(max_examples=100, deadline=None)
def test_the_error_is_half_a_step_and_the_rounding_of_the_scale(
    bits: Bits, rows: int, pairs: int, seed: int, scale: float
) -> None:
    weight = random_weight(rows, 2 * pairs, seed, scale)
    packed, scales = quantize_rows(weight, bits)
    error = (dequantize_rows(packed, scales, bits, torch.float32) - weight).abs()
    largest = weight.abs().amax(dim=1, keepdim=True)
    # A half number below 2^-14 is rounded to a multiple of 2^-24.
    rounding = torch.maximum(2**-11 * largest, torch.tensor((2 ** (bits - 1) - 1) * 2**-25))
    bound = 0.5 * scales.float()[:, None] + rounding
    assert bool((error <= bound * (1 + 1e-5)).all())


def test_int4_keeps_the_even_column_in_the_high_nibble() -> None:
    weight = torch.tensor([[7.0, -7.0, 1.0, -1.0], [3.0, 0.0, -7.0, 5.0]])
    packed, scales = quantize_rows(weight, 4)
    assert scales.tolist() == [1.0, 1.0]
    assert packed.dtype == torch.int8
    assert [[byte & 0xFF for byte in row] for row in packed.tolist()] == [
        [0x79, 0x1F],  # two's complement: -7 is 9, -1 is F
        [0x30, 0x95],
    ]
    assert torch.equal(dequantize_rows(packed, scales, 4, torch.float32), weight)


@both
def test_official_storage_is_unpacked_bit_for_bit(bits: Bits) -> None:
    kept = load_file(OFFICIAL)
    packed, scale = kept[f"int{bits}.packed"], kept[f"int{bits}.scale"]
    assert torch.equal(
        dequantize_rows(packed, scale, bits, torch.float32), kept[f"int{bits}.dequant"]
    )
    layer = QuantizedLinear(packed, scale, bits, None)
    assert torch.equal(layer(torch.eye(layer.in_features)).T, kept[f"int{bits}.dequant"])


@both
def test_our_storage_is_the_official_one_where_rounding_leaves_no_choice(bits: Bits) -> None:
    """The official code divides by the scale before it is rounded to half; we divide after.

    So single numbers next to a tie fall on the other side, and ours is the nearer one.
    """
    kept = load_file(OFFICIAL)
    packed, scale = quantize_rows(kept["dense"], bits)
    assert torch.equal(scale, kept[f"int{bits}.scale"])
    ours = dequantize_rows(packed, scale, bits, torch.float32)
    theirs = kept[f"int{bits}.dequant"]
    assert (ours != theirs).float().mean() < 0.01
    assert bool(((ours - theirs).abs() <= scale.float()[:, None] * 1.001).all())
    assert (ours - kept["dense"]).abs().sum() <= (theirs - kept["dense"]).abs().sum()


@both
def test_a_row_of_zeros_stays_zero(bits: Bits) -> None:
    weight = torch.zeros(2, 6)
    weight[1] = torch.arange(6.0)
    packed, scale = quantize_rows(weight, bits)
    back = dequantize_rows(packed, scale, bits, torch.float32)
    assert torch.isfinite(scale).all()
    assert back[0].tolist() == [0.0] * 6
    assert back[1].abs().max() > 4.9


def test_an_odd_number_of_columns_is_refused_at_int4_only() -> None:
    with pytest.raises(ConfigError, match="has 5") as caught:
        quantize_rows(random_weight(2, 5), 4)
    assert "--bits 8" in str(caught.value)
    packed, _ = quantize_rows(random_weight(2, 5), 8)
    assert packed.shape == (2, 5)


# --- the layer -------------------------------------------------------------------------------


def dense_twin(layer: QuantizedLinear) -> nn.Linear:
    """The dense layer with the very weights that ``layer`` unpacks to."""
    twin = nn.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None)
    weight = dequantize_rows(layer.weight, layer.weight_scale, layer.bits, torch.float32)
    twin.weight = nn.Parameter(weight, requires_grad=False)
    if layer.bias is not None:
        twin.bias = nn.Parameter(layer.bias, requires_grad=False)
    return twin


@both
@pytest.mark.parametrize("bias", [True, False])
def test_output_and_gradient_are_those_of_the_unpacked_weights_exactly(
    bits: Bits, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = QuantizedLinear.from_linear(nn.Linear(12, 7, bias=bias), bits)
    twin = dense_twin(layer)
    x = torch.randn(3, 5, 12, requires_grad=True)
    y, like = layer(x), twin(x)
    assert torch.allclose(y, like, atol=1e-6)
    weights = torch.randn_like(y)
    (own,) = torch.autograd.grad((y * weights).sum(), x)
    (theirs,) = torch.autograd.grad((like * weights).sum(), x)
    assert torch.equal(own, theirs)


@both
def test_the_backward_pass_keeps_only_packed_weights(bits: Bits) -> None:
    layer = QuantizedLinear.from_linear(nn.Linear(12, 7), bits)
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        layer(torch.randn(3, 12, requires_grad=True)).sum().backward()
    assert {tensor.data_ptr() for tensor in kept} == {
        layer.weight.data_ptr(),
        layer.weight_scale.data_ptr(),
    }
    assert not list(layer.parameters())


@both
def test_a_whole_network_keeps_no_dense_weight_for_the_backward_pass(
    bits: Bits, tiny_base_folder: Path
) -> None:
    from trainer.model import load_base

    base = load_base(str(tiny_base_folder), bits=bits, device="cpu")
    prefix = text_prefix(base.network, [2, 30, 40])
    shapes = {
        (child.out_features, child.in_features)
        for child in base.network.modules()
        if isinstance(child, QuantizedLinear)
    }
    shapes |= {shape[::-1] for shape in shapes}
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    # 5 tokens: no activation has the shape of a weight.
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        base.hidden(ids, ids > 0, prefix).sum().backward()
    dense = [t for t in kept if t.is_floating_point() and tuple(t.shape) in shapes]
    assert shapes and kept and not dense


# --- a network -------------------------------------------------------------------------------


def test_every_linear_layer_but_the_output_is_packed(tiny_base: Any, dense_base: Any) -> None:
    kept = tiny_base.network.get_output_embeddings()
    linear = [child for child in tiny_base.network.modules() if isinstance(child, nn.Linear)]
    assert linear == [kept]
    packed = [c for c in tiny_base.network.modules() if isinstance(c, QuantizedLinear)]
    before = [c for c in dense_base.network.modules() if isinstance(c, nn.Linear)]
    assert len(packed) == len(before) - 1 == 3 * 7
    assert torch.equal(kept.weight, dense_base.network.get_output_embeddings().weight)


def test_the_count_is_returned_and_nothing_to_do_is_an_error() -> None:
    network = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 6), nn.ReLU()))
    assert quantize_linears(network, 8, keep=None) == 2
    assert isinstance(network[0], QuantizedLinear)
    with pytest.raises(BaseModelError, match="no linear layer"):
        quantize_linears(network, 8, keep=None)


@both
def test_gradients_reach_the_prefix_through_a_packed_base_and_nothing_else(
    bits: Bits, tiny_base_folder: Path
) -> None:
    """They equal the gradients through the unpacked weights."""
    from trainer.model import load_base

    base = load_base(str(tiny_base_folder), bits=bits, device="cpu")
    ids = torch.tensor([[5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 0, 0]])

    def gradients() -> list[Tensor]:
        prefix = text_prefix(base.network, [2, 30, 40])
        base.logits(base.hidden(ids, ids > 0, prefix)).logsumexp(-1).sum().backward()
        return [parameter.grad for parameter in prefix.parameters() if parameter.grad is not None]

    packed = gradients()
    assert len(packed) == 6 and all(bool(grad.abs().sum() > 0) for grad in packed)
    assert all(parameter.grad is None for parameter in base.network.parameters())
    for parent in list(base.network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, QuantizedLinear):
                setattr(parent, name, dense_twin(child))
    for own, theirs in zip(packed, gradients(), strict=True):
        assert torch.allclose(own, theirs, rtol=1e-4, atol=1e-5)

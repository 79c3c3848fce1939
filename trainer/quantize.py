"""Frozen int8 and int4 linear layers, stored as the official ChatGLM code stores them.

Only the prefix is trained, so the base's weights may stay packed for the whole
run: each use unpacks one layer, multiplies, and forgets. The backward pass unpacks
again instead of keeping the dense weights, which is what saves the memory.

Storage (THUDM/chatglm2-6b ``quantization.py``): weights ``[out, in]`` are divided
by a half-precision scale per row and rounded to int8; int4 packs two columns in a
byte, the even column in the high nibble, two's complement. Embedding, output layer
and norms are not quantized.

Other code may pack and unpack in the place of the functions here, which are what it is
measured against: a layer calls nothing but its :class:`Backend` (:mod:`trainer.backends`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.errors import BaseModelError, ConfigError
from trainer.language import say

Bits = Literal[4, 8]

_SMALLEST_SCALE = 2.0**-24
"""Smallest half-precision number above zero: a row of zeros must not divide by zero."""

_ROWS = 2048
"""Rows that are quantized at once."""


def quantize_rows(weight: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
    """Quantize ``weight`` row by row.

    The error of each element is at most ``0.5 * scale``, plus what rounding the scale
    to half precision moves the largest element of a row: ``2**-11`` of it, or, where the
    scale is below ``2**-14``, up to ``2**-25`` times the largest whole number.

    Args:
        weight: ``[out, in]``, floating; for 4 bits ``in`` must be even.
        bits: 8 or 4.

    Returns:
        packed int8 ``[out, in]`` or ``[out, in / 2]``, and float16 scales ``[out]``.

    Raises:
        ConfigError: for an odd number of columns at 4 bits.
    """
    refuse_odd(weight.shape[1], bits)
    # Some rows at a time: a whole layer of a 6B model in float32, twice, would be 0.9 GB.
    parts = [_quantize(rows, bits) for rows in torch.split(weight.detach(), _ROWS)]
    packed, scale = (torch.cat(pieces) for pieces in zip(*parts, strict=True))
    return packed, scale


def _quantize(rows: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
    top = 2 ** (bits - 1) - 1
    wide = rows.float()
    scale = (wide.abs().amax(dim=1) / top).clamp_min(_SMALLEST_SCALE).half()
    whole = (wide / scale.float()[:, None]).round_().clamp_(-top, top).to(torch.int8)
    return (whole if bits == 8 else _pack_nibbles(whole)), scale


def dequantize_rows(packed: Tensor, scale: Tensor, bits: Bits, dtype: torch.dtype) -> Tensor:
    """Return ``[out, in]`` weights in ``dtype``; equals the official kernel bit for bit.

    Args:
        packed: int8 ``[out, in]`` (8 bits) or ``[out, in / 2]`` (4 bits).
        scale: float16 ``[out]``.
        bits: 8 or 4.
        dtype: of the result.
    """
    return unpack_rows(packed, bits).to(dtype).mul_(scale.to(dtype)[:, None])


def unpack_rows(packed: Tensor, bits: Bits) -> Tensor:
    """Return the whole numbers int8 ``[out, in]``, which the scales are not yet applied to."""
    return packed if bits == 8 else _unpack_nibbles(packed)


def refuse_odd(columns: int, bits: Bits) -> None:
    """Refuse a layer whose columns do not go into bytes.

    Raises:
        ConfigError: for an odd number of columns at 4 bits.
    """
    if bits == 4 and columns % 2:
        raise ConfigError(
            say(
                zh=f"int4 需要偶数列，这一层有 {columns} 列",
                en=f"int4 needs an even number of columns, this layer has {columns}",
            ),
            fix=say(zh="用 --bits 8", en="use --bits 8"),
            code="int4-odd-columns",
        )


def _pack_nibbles(whole: Tensor) -> Tensor:
    return (whole[:, 0::2] << 4) | (whole[:, 1::2] & 0x0F)


def _unpack_nibbles(packed: Tensor) -> Tensor:
    # Shifts of int8 are arithmetic: they bring the sign along.
    return torch.stack((packed >> 4, (packed << 4) >> 4), dim=-1).flatten(-2)


Quantize = Callable[[Tensor, Bits], tuple[Tensor, Tensor]]
Dequantize = Callable[[Tensor, Tensor, Bits, torch.dtype], Tensor]


@dataclass(frozen=True)
class Backend:
    """The code that packs and unpacks the weights of a layer.

    Attributes:
        name: as it is set in ``quantization_backend``.
        quantize: makes packed weights and their scales of ``[out, in]``, as
            :func:`quantize_rows` does; only the same backend need understand the scales.
        dequantize: makes ``[out, in]`` of them, as :func:`dequantize_rows` does.
    """

    name: str
    quantize: Quantize
    dequantize: Dequantize


TORCH = Backend("torch", quantize_rows, dequantize_rows)
"""Runs everywhere; what the others are measured against."""


class _PackedMatmul(torch.autograd.Function):
    """``x @ W.T`` for frozen packed ``W``: unpacks in both passes, saves only packed weights."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, packed: Tensor, scale: Tensor, bits: Bits, dequantize: Dequantize
    ) -> Tensor:
        ctx.save_for_backward(packed, scale)
        ctx.bits, ctx.dequantize = bits, dequantize
        return nn.functional.linear(x, dequantize(packed, scale, bits, x.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None, None]:
        packed, scale = ctx.saved_tensors
        weight = ctx.dequantize(packed, scale, ctx.bits, grad.dtype)
        return grad @ weight, None, None, None, None


_packed_matmul: Any = _PackedMatmul.apply


class QuantizedLinear(nn.Module):
    """A frozen linear layer over packed weights; drops in for :class:`torch.nn.Linear`.

    Args:
        packed: int8 ``[out, in]`` or ``[out, in / 2]``.
        scale: float16 ``[out]``.
        bits: 8 or 4.
        bias: ``[out]`` or none.
        backend: unpacks the weights; other backends may have other scales.
    """

    bias: Tensor | None

    def __init__(
        self,
        packed: Tensor,
        scale: Tensor,
        bits: Bits,
        bias: Tensor | None,
        backend: Backend = TORCH,
    ) -> None:
        super().__init__()
        self.bits = bits
        self.backend = backend
        self.out_features = packed.shape[0]
        self.in_features = packed.shape[1] * (8 // bits)
        self.register_buffer("weight", packed)
        self.register_buffer("weight_scale", scale)
        self.register_buffer("bias", bias)

    @classmethod
    def from_linear(
        cls, linear: nn.Linear, bits: Bits, backend: Backend = TORCH
    ) -> QuantizedLinear:
        """Quantize a dense layer."""
        packed, scale = backend.quantize(linear.weight.detach(), bits)
        bias = None if linear.bias is None else linear.bias.detach()
        return cls(packed, scale, bits, bias, backend)

    @classmethod
    def empty(cls, linear: nn.Linear, bits: Bits, backend: Backend = TORCH) -> QuantizedLinear:
        """Return a layer of the same shape whose buffers hold no memory yet."""
        rows, columns = linear.weight.shape
        refuse_odd(columns, bits)
        meta = torch.device("meta")
        packed = torch.empty(rows, columns * bits // 8, dtype=torch.int8, device=meta)
        scale = torch.empty(rows, dtype=torch.float16, device=meta)
        bias = None if linear.bias is None else torch.empty(rows, device=meta)
        return cls(packed, scale, bits, bias, backend)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., in]`` to ``[..., out]``."""
        y: Tensor = _packed_matmul(
            x, self.weight, self.weight_scale, self.bits, self.backend.dequantize
        )
        return y if self.bias is None else y + self.bias

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bits={self.bits}"


def quantize_linears(
    network: nn.Module, bits: Bits, *, keep: nn.Module | None, backend: Backend = TORCH
) -> int:
    """Replace every linear layer of ``network`` in place, each freed before the next.

    Args:
        network: the model.
        bits: 8 or 4.
        keep: the output layer, which stays dense.
        backend: packs the weights, and unpacks them when they are used.

    Returns:
        how many layers were replaced.

    Raises:
        BaseModelError: if there was no linear layer to replace.
    """
    return replace_linears(
        network, lambda linear: QuantizedLinear.from_linear(linear, bits, backend), keep=keep
    )


def replace_linears(
    network: nn.Module, make: Callable[[nn.Linear], nn.Module], *, keep: nn.Module | None
) -> int:
    """Put what ``make`` makes in the place of every linear layer but ``keep``.

    Returns:
        how many layers were replaced.

    Raises:
        BaseModelError: if there was no linear layer to replace.
    """
    count = 0
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear) and child is not keep:
                setattr(parent, name, make(child))
                count += 1
    if not count:
        raise BaseModelError(
            say(
                zh="这个底座没有可以量化的线性层",
                en="this base has no linear layer that could be quantized",
            ),
            fix=say(zh="用 --bits none", en="use --bits none"),
            code="nothing-to-quantize",
        )
    return count

"""Which code unpacks the weights: torch's own, ``cpm_kernels``, or ``bitsandbytes``.

torch is there on every machine and is what the others are measured against. Whoever has
the right card may take one of the extras: ``cpm_kernels`` (which the official ChatGLM code
needs on CUDA) for the same packed weights, ``bitsandbytes`` for weights packed its own way.
Both are foreign machine code that probes the machine while it is imported, so each is tried
on a small weight before a base is entrusted to it, and the reason for or against it is
always told. Neither was run on a card where this was written (docs/backends.md).
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.errors import ConfigError
from trainer.language import say
from trainer.quantize import TORCH, Backend, Bits, refuse_odd, unpack_rows

_CAPABILITIES = (6, 1), (8, 6)
"""The first and last compute capability that cpm-kernels 1.0.11 holds machine code for.

It holds sm_61, 62, 70, 72, 75, 80 and 86, and no PTX that a driver could translate.
"""
_GRID = 65535
"""Most rows in a launch: they are the second dimension of a CUDA grid."""
_NF4_BLOCK = 64
"""Weights that share a scale in NF4 (QLoRA, arXiv 2305.14314)."""
_WIDE_ROWS = 4096
"""Rows of int8 that bitsandbytes widens to float32 at once."""


@dataclass(frozen=True)
class Choice:
    """The backend that runs, and why.

    Attributes:
        backend: packs and unpacks.
        why: in the user's language.
    """

    backend: Backend
    why: str

    def __str__(self) -> str:
        return say(zh=f"{self.backend.name}（{self.why}）", en=f"{self.backend.name} ({self.why})")


def choose_backend(
    wanted: str, *, bits: Bits | None, stored: bool, place: torch.device, dtype: torch.dtype
) -> Choice | None:
    """Return the backend for a base, or nothing if its weights are dense.

    ``auto`` takes ``cpm_kernels`` where it gives the very numbers that torch gives: on a
    card that it has machine code for, in float16. Otherwise it takes torch.

    Args:
        wanted: ``auto``, ``torch``, ``cpm_kernels`` or ``bitsandbytes``.
        bits: of the packed weights.
        stored: the weights come packed, in the official layout.
        place: where the base runs.
        dtype: in which it computes.

    Raises:
        ConfigError: there is no such backend, or the one that was asked for cannot run.
    """
    makers: dict[str, Callable[[], Backend]] = {
        "torch": lambda: TORCH,
        "cpm_kernels": lambda: _cpm_kernels(place, dtype),
        "bitsandbytes": lambda: _bitsandbytes(place, stored=stored),
    }
    if wanted not in ("auto", *makers):
        raise _refused(
            zh=f"没有 {wanted!r} 这个反量化后端",
            en=f"there is no backend {wanted!r}",
            fix="auto, " + ", ".join(makers),
            code="backend",
        )
    if bits is None:
        _refuse_dense(wanted)
        return None
    if wanted == "auto":
        return _automatic(bits, place, dtype)
    backend = makers[wanted]()
    if backend is not TORCH:
        _try_out(backend, bits, place, dtype)
    return Choice(backend, say(zh="按设置", en="as set"))


def served_by(trained_with: str) -> str:
    """Return the setting under which a run's base is loaded again.

    bitsandbytes packs weights to other numbers, so a prefix that was trained on them needs
    them. cpm_kernels unpacks what torch unpacks, so that another machine may do without.
    """
    return "auto" if trained_with == "cpm_kernels" else trained_with


def _refuse_dense(wanted: str) -> None:
    if wanted not in ("auto", "torch"):
        raise _refused(
            zh=f"{wanted} 用来反量化，可是这个底座不量化",
            en=f"{wanted} unpacks quantized weights, and this base is not quantized",
            fix=say(zh="用 --bits 8 或 --bits 4", en="use --bits 8 or --bits 4"),
            code="backend-dense",
        )


def _automatic(bits: Bits, place: torch.device, dtype: torch.dtype) -> Choice:
    if place.type != "cuda":
        return Choice(TORCH, say(zh=f"在 {place.type} 上运行", en=f"on the {place.type}"))
    if dtype != torch.float16:
        name = _name(dtype)
        return Choice(
            TORCH,
            say(
                zh=f"用 {name} 计算，cpm_kernels 只在 float16 下和它分毫不差",
                en=f"computes in {name}; cpm_kernels gives the same numbers in float16 only",
            ),
        )
    try:
        backend = _cpm_kernels(place, dtype)
        _try_out(backend, bits, place, dtype)
    except ConfigError as error:
        return Choice(TORCH, error.problem)
    return Choice(backend, say(zh=f"显卡是 {_card(place)}", en=f"the card is {_card(place)}"))


# --- cpm_kernels ---------------------------------------------------------------------------


def _cpm_kernels(place: torch.device, dtype: torch.dtype) -> Backend:
    """Return the backend if card, number type and import allow it."""
    _refuse_cpu("cpm_kernels", place)
    if dtype == torch.float32:
        raise _refused(
            zh="cpm_kernels 给出的是 float16，这次用 float32 计算，会丢精度",
            en="cpm_kernels gives float16, and this computes in float32: it would lose digits",
        )
    first, last = _CAPABILITIES
    if not first <= torch.cuda.get_device_capability(place) <= last:
        raise _refused(
            zh=f"显卡是 {_card(place)}，cpm_kernels 只有 sm_61 到 sm_86 的机器码",
            en=f"the card is {_card(place)}; cpm_kernels has machine code for sm_61 to sm_86 only",
        )
    return cpm_backend(_imported("cpm_kernels.kernels", "cpm").arith_ln_mul)


def cpm_backend(scale_rows: Callable[..., None]) -> Backend:
    """Return torch's packing, unpacked by cpm_kernels.

    No kernel of the package reads int8: torch widens the whole numbers, and the kernel
    multiplies each row by its scale, in place. Whole number and scale are exact in half
    precision, so that the product is rounded once: to the same bits as torch's in float16.
    In bfloat16 it is rounded again, and off by at most ``2**-8 + 2**-11`` of itself; torch
    rounds scale and product to bfloat16, and may be off by ``2**-7``.

    Args:
        scale_rows: ``cpm_kernels.kernels.arith_ln_mul``, called with batch, rows, columns,
            the pointers of matrix, scales and result, and the stream.
    """

    def dequantize(packed: Tensor, scale: Tensor, bits: Bits, dtype: torch.dtype) -> Tensor:
        whole = unpack_rows(packed, bits)
        rows, columns = whole.shape
        # The kernel takes columns in pairs.
        padded = torch.empty(rows, columns + columns % 2, dtype=torch.float16, device=whole.device)
        padded[:, :columns] = whole
        parts = zip(torch.split(padded, _GRID), torch.split(scale, _GRID), strict=True)
        with torch.cuda.device(whole.device):
            stream = torch.cuda.current_stream().cuda_stream
            for part, factors in parts:
                matrix = part.data_ptr()
                scale_rows(1, *part.shape, matrix, factors.data_ptr(), matrix, stream)
        return padded[:, :columns].to(dtype)

    return Backend("cpm_kernels", TORCH.quantize, dequantize)


# --- bitsandbytes --------------------------------------------------------------------------


def _bitsandbytes(place: torch.device, *, stored: bool) -> Backend:
    """Return the backend if card, storage and import allow it."""
    # On the CPU its NF4 is wrong where the columns are no multiple of 64.
    _refuse_cpu("bitsandbytes", place)
    if stored:
        raise _refused(
            zh="这个底座已经按 ChatGLM 官方的格式量化好了，bitsandbytes 读不了这种格式",
            en="this base is stored in the official packed layout, which bitsandbytes cannot read",
            fix=say(
                zh="用没有量化的文件夹，或者 --set quantization_backend=torch",
                en="use a folder with dense weights, or --set quantization_backend=torch",
            ),
        )
    return bitsandbytes_backend(_imported("bitsandbytes.functional", "bnb"))


def bitsandbytes_backend(functional: Any) -> Backend:
    """Return bitsandbytes' packing: int8 with a scale per row, or NF4 with one per 64 weights.

    Its own linear layers are not used: they round the input to int8 as well (8 bits), so
    that the gradient would not be that of the output. Scales are the largest absolute
    values, float32: ``[out]`` for 8 bits, ``[ceil(out * in / 64)]`` for 4.

    Args:
        functional: the module ``bitsandbytes.functional``.
    """

    def quantize(weight: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
        refuse_odd(weight.shape[1], bits)
        if bits == 8:  # the kernel takes half precision, as it lies in memory
            packed, largest, _ = functional.int8_vectorwise_quant(weight.half().contiguous())
            return packed, largest
        packed, state = functional.quantize_4bit(
            weight.contiguous(), blocksize=_NF4_BLOCK, quant_type="nf4"
        )
        return packed.view(len(weight), -1), state.absmax

    def dequantize(packed: Tensor, scale: Tensor, bits: Bits, dtype: torch.dtype) -> Tensor:
        rows, columns = packed.shape
        if bits == 4:
            state = functional.QuantState(
                absmax=scale,
                shape=torch.Size((rows, 2 * columns)),
                dtype=dtype,
                blocksize=_NF4_BLOCK,
                quant_type="nf4",
            )
            nf4: Tensor = functional.dequantize_4bit(packed.view(-1, 1), state)
            return nf4.reshape(rows, -1)  # it turns a weight of one byte on its side
        weight = torch.empty(rows, columns, dtype=dtype, device=packed.device)
        parts = (torch.split(tensor, _WIDE_ROWS) for tensor in (weight, packed, scale))
        for part, whole, largest in zip(*parts, strict=True):
            part.copy_(functional.int8_vectorwise_dequant(whole, largest))
        return weight

    return Backend("bitsandbytes", quantize, dequantize)


# --- what both need ------------------------------------------------------------------------


def _imported(module: str, extra: str) -> Any:
    package = module.partition(".")[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pkg_resources says that it is going away
            return importlib.import_module(module)
    except Exception as error:  # it loads libraries and asks the driver: anything may come
        raise _refused(
            zh=f"{package} 导入不了：{_first_line(error)}",
            en=f"{package} cannot be imported: {_first_line(error)}",
            fix=f"pip install 'renshe[{extra}]'"
            + say(
                zh="，或者 --set quantization_backend=torch",
                en=", or --set quantization_backend=torch",
            ),
        ) from error


def _try_out(backend: Backend, bits: Bits, place: torch.device, dtype: torch.dtype) -> None:
    """Pack and unpack a weight that every packing keeps, as an import alone proves little.

    Raises:
        ConfigError: the backend fails, or gives something else.
    """
    rows = [[1.0, 0.0, -1.0, 1.0] * 16, [0.0, -2.0, 2.0, 0.0] * 16]
    try:
        weight = torch.tensor(rows, dtype=dtype, device=place)
        packed, scale = backend.quantize(weight, bits)
        back = backend.dequantize(packed, scale, bits, dtype)
        same = torch.allclose(back, weight, rtol=0.02)
        reason = "" if same else say(zh="解出来的数不对", en="it unpacks to other numbers")
    except Exception as error:  # whatever foreign code raises is the reason
        reason = _first_line(error)
    if reason:
        raise _refused(
            zh=f"{backend.name} 在这张显卡上跑不通：{reason}",
            en=f"{backend.name} does not work on this card: {reason}",
        )


def _refuse_cpu(name: str, place: torch.device) -> None:
    if place.type != "cuda":
        raise _refused(
            zh=f"{name} 只能在 CUDA 显卡上用，这次在 {place.type} 上运行",
            en=f"{name} needs a CUDA card, and this runs on the {place.type}",
        )


def _card(place: torch.device) -> str:
    major, minor = torch.cuda.get_device_capability(place)
    return f"sm_{major}{minor}"


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _refused(
    *, zh: str, en: str, fix: str = "--set quantization_backend=torch", code: str = "backend-unfit"
) -> ConfigError:
    return ConfigError(say(zh=zh, en=en), fix=fix, code=code)

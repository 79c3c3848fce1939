"""Which backend unpacks the weights. What is marked ``gpu`` needs a card and was run on none."""

import ctypes
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bot.cli import main
from trainer import backends, language
from trainer.backends import (
    Choice,
    bitsandbytes_backend,
    choose_backend,
    cpm_backend,
    served_by,
)
from trainer.config import TrainConfig
from trainer.errors import ConfigError
from trainer.model import load_base, load_tuned
from trainer.quantize import (
    TORCH,
    Backend,
    Bits,
    QuantizedLinear,
    dequantize_rows,
    quantize_linears,
    quantize_rows,
)

REF = Path(__file__).parents[2] / "tests" / "data" / "chatglm2"
GOOD = Path(__file__).parents[1] / "data" / "personas" / "good.yaml"
QUICK = ("--set", "max_steps=2", "--set", "pre_seq_len=4", "--set", "device=cpu")
CPU, CARD = torch.device("cpu"), torch.device("cuda")

both = pytest.mark.parametrize("bits", [8, 4])


def choose(wanted: str, **given: Any) -> Choice | None:
    usual = {"bits": 8, "stored": False, "place": CARD, "dtype": torch.float16}
    return choose_backend(wanted, **{**usual, **given})


def chosen(wanted: str, **given: Any) -> Choice:
    choice = choose(wanted, **given)
    assert choice is not None
    return choice


# --- packages that are not there, or not as they should be --------------------------------------

WORKS = "def arith_ln_mul(*_): raise RuntimeError('Library cudart is not initialized')\n"
OLD_DRIVER = "raise RuntimeError('CUDA Runtime Error: CUDA driver version is insufficient')\n"
NO_SETUPTOOLS = "raise ModuleNotFoundError(\"No module named 'pkg_resources'\")\n"
NO_LIBRARY = "raise OSError('libcudart.so.11: cannot open shared object file')\n"


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in front of all others in which packages can be put."""

    def taken_out() -> dict[str, Any]:
        names = ("cpm_kernels", "bitsandbytes")
        found = [name for name in sys.modules if name.partition(".")[0] in names]
        return {name: sys.modules.pop(name) for name in found}

    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    installed = taken_out()
    yield folder
    taken_out()
    sys.modules.update(installed)


def put(packages: Path, name: str, text: str) -> None:
    package, _, module = name.partition(".")
    (packages / package).mkdir()
    (packages / package / "__init__.py").write_text("", "utf-8")
    (packages / package / f"{module}.py").write_text(text, "utf-8")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make a card of some capability, on which every backend proves itself."""

    def made(major: int, minor: int) -> None:
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (major, minor))
        monkeypatch.setattr(backends, "_try_out", lambda *_: None)

    return made


# --- the choice ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((6, 0), "torch"),
        ((6, 1), "cpm_kernels"),
        ((7, 0), "cpm_kernels"),
        ((7, 5), "cpm_kernels"),
        ((8, 0), "cpm_kernels"),
        ((8, 6), "cpm_kernels"),
        ((8, 9), "torch"),
        ((9, 0), "torch"),
        ((12, 0), "torch"),
    ],
)
def test_the_card_decides(
    card: Any, packages: Path, capability: tuple[int, int], runs: str
) -> None:
    put(packages, "cpm_kernels.kernels", WORKS)
    card(*capability)
    choice = chosen("auto")
    assert choice.backend.name == runs
    assert "sm_{}{}".format(*capability) in str(choice)
    if runs == "torch":
        with pytest.raises(ConfigError, match="sm_61 to sm_86 only"):
            choose("cpm_kernels")
    else:
        assert str(chosen("cpm_kernels")) == "cpm_kernels (as set)"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "cpm_kernels cannot be imported: No module named 'cpm_kernels"),
        (NO_SETUPTOOLS, "cannot be imported: No module named 'pkg_resources'"),
        (OLD_DRIVER, "cannot be imported: CUDA Runtime Error: CUDA driver version is insufficient"),
        (NO_LIBRARY, "cannot be imported: libcudart.so.11: cannot open"),
        ("raise SystemError\n", "cannot be imported: SystemError"),
    ],
)
def test_the_import_decides(card: Any, packages: Path, text: str | None, reason: str) -> None:
    if text is not None:
        put(packages, "cpm_kernels.kernels", text)
    card(7, 5)
    choice = chosen("auto")
    assert choice.backend is TORCH and reason in choice.why
    with pytest.raises(ConfigError) as caught:
        choose("cpm_kernels")
    assert reason in str(caught.value) and "\n" not in choice.why
    assert "pip install 'renshe[cpm]'" in str(caught.value)


def test_what_was_imported_must_also_run(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without libcudart the package imports, and fails when it is called."""
    put(packages, "cpm_kernels.kernels", WORKS)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (7, 5))
    try_out = backends._try_out
    monkeypatch.setattr(
        backends, "_try_out", lambda one, bits, _, dtype: try_out(one, bits, CPU, dtype)
    )
    without_a_card(monkeypatch)
    reason = "cpm_kernels does not work on this card: Library cudart is not initialized"
    assert chosen("auto").why == reason
    with pytest.raises(ConfigError, match=reason):
        choose("cpm_kernels")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_automatic_changes_no_number(card: Any, packages: Path, dtype: torch.dtype) -> None:
    put(packages, "cpm_kernels.kernels", WORKS)
    card(8, 0)
    choice = chosen("auto", dtype=dtype)
    assert choice.backend is TORCH and str(dtype).removeprefix("torch.") in choice.why


def test_cpm_kernels_may_be_asked_for_in_bfloat16_and_not_in_float32(
    card: Any, packages: Path
) -> None:
    put(packages, "cpm_kernels.kernels", WORKS)
    card(8, 6)
    assert chosen("cpm_kernels", dtype=torch.bfloat16).backend.name == "cpm_kernels"
    with pytest.raises(ConfigError, match="lose digits"):
        choose("cpm_kernels", dtype=torch.float32)


def test_the_cpu_has_torch_alone() -> None:
    assert str(chosen("auto", place=CPU, dtype=torch.float32)) == "torch (on the cpu)"
    assert str(chosen("torch", place=CPU)) == "torch (as set)"
    for name in ("cpm_kernels", "bitsandbytes"):
        with pytest.raises(ConfigError, match=f"{name} needs a CUDA card") as caught:
            choose(name, place=CPU, dtype=torch.float32)
        assert "quantization_backend=torch" in str(caught.value)


def test_bitsandbytes_runs_only_when_it_is_asked_for(card: Any, packages: Path) -> None:
    put(packages, "bitsandbytes.functional", "")
    card(9, 0)
    assert chosen("auto").backend is TORCH
    assert str(chosen("bitsandbytes")) == "bitsandbytes (as set)"
    with pytest.raises(ConfigError, match="official packed layout") as caught:
        choose("bitsandbytes", stored=True)
    assert "dense weights" in str(caught.value)


def test_bitsandbytes_is_not_installed(card: Any, packages: Path) -> None:
    card(9, 0)
    sys.modules["bitsandbytes"] = None  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="bitsandbytes cannot be imported") as caught:
        choose("bitsandbytes")
    assert "pip install 'renshe[bnb]'" in str(caught.value)


def test_dense_weights_need_no_backend() -> None:
    assert choose("auto", bits=None) is None and choose("torch", bits=None) is None
    for name in ("cpm_kernels", "bitsandbytes"):
        with pytest.raises(ConfigError, match="not quantized") as caught:
            choose(name, bits=None)
        assert "--bits 8" in str(caught.value)


def test_a_backend_that_there_is_not() -> None:
    with pytest.raises(ConfigError, match="no backend 'triton'") as caught:
        choose("triton")
    assert "auto, torch, cpm_kernels, bitsandbytes" in str(caught.value)


def test_both_languages_are_spoken(card: Any, packages: Path) -> None:
    language.use("zh")
    put(packages, "cpm_kernels.kernels", OLD_DRIVER)
    card(9, 0)
    assert str(chosen("auto")) == "torch（显卡是 sm_90，cpm_kernels 只有 sm_61 到 sm_86 的机器码）"
    assert str(chosen("auto", place=CPU)) == "torch（在 cpu 上运行）"
    assert str(chosen("torch")) == "torch（按设置）"
    card(7, 5)
    with pytest.raises(ConfigError, match="cpm_kernels 导入不了：CUDA Runtime Error") as caught:
        choose("cpm_kernels")
    assert "或者 --set quantization_backend=torch" in str(caught.value)
    with pytest.raises(ConfigError, match="官方的格式"):
        choose("bitsandbytes", stored=True)
    with pytest.raises(ConfigError, match="只能在 CUDA 显卡上用"):
        choose("bitsandbytes", place=CPU)


@both
def test_a_backend_is_tried_before_it_is_trusted(bits: Bits) -> None:
    def fails(*_: Any) -> Tensor:
        raise AssertionError("\n\n no kernel image\nfor this device")

    backends._try_out(TORCH, bits, CPU, torch.float32)
    with pytest.raises(ConfigError, match=r"does not work on this card: no kernel image\n"):
        backends._try_out(Backend("x", quantize_rows, fails), bits, CPU, torch.float32)
    wrong = Backend("x", quantize_rows, lambda *all: dequantize_rows(*all).flip(1))
    with pytest.raises(ConfigError, match="unpacks to other numbers"):
        backends._try_out(wrong, bits, CPU, torch.float32)


# --- the seam ------------------------------------------------------------------------------------


class Spy:
    """A backend whose weights are three times those of torch, and which counts its calls."""

    def __init__(self) -> None:
        self.packed = self.unpacked = 0
        self.backend = Backend("spy", self.quantize, self.dequantize)

    def quantize(self, weight: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
        self.packed += 1
        packed, scale = quantize_rows(weight, bits)
        return packed, 3 * scale.float()

    def dequantize(self, packed: Tensor, scale: Tensor, bits: Bits, dtype: torch.dtype) -> Tensor:
        self.unpacked += 1
        return dequantize_rows(packed, scale, bits, dtype)


@both
def test_a_layer_uses_its_backend_in_both_passes(bits: Bits) -> None:
    spy, linear = Spy(), nn.Linear(6, 5)
    layer = QuantizedLinear.from_linear(linear, bits, spy.backend)
    plain = QuantizedLinear.from_linear(linear, bits)
    x = torch.randn(2, 6, requires_grad=True)
    y = layer(x)
    assert (spy.packed, spy.unpacked) == (1, 1)
    assert layer.bias is not None
    assert torch.allclose(y - layer.bias, 3 * (plain(x) - layer.bias), atol=1e-5)
    (own,) = torch.autograd.grad(y.sum(), x)
    (theirs,) = torch.autograd.grad(plain(x).sum(), x)
    assert spy.unpacked == 2
    assert torch.allclose(own, 3 * theirs, atol=1e-5)


def test_a_network_is_packed_by_its_backend() -> None:
    spy = Spy()
    assert quantize_linears(nn.Sequential(nn.Linear(4, 4)), 8, keep=None, backend=spy.backend) == 1
    assert spy.packed == 1


@pytest.mark.parametrize("streamed", [True, False])
def test_a_base_is_packed_and_unpacked_by_the_chosen_backend(
    tiny_base_folder: Path, monkeypatch: pytest.MonkeyPatch, streamed: bool
) -> None:
    spy = Spy()
    monkeypatch.setattr("trainer.model.choose_backend", lambda *_, **__: Choice(spy.backend, "why"))
    if not streamed:
        monkeypatch.setattr("trainer.model.foreign_names", lambda *_: {"elsewhere"})
    base = load_base(str(tiny_base_folder), bits=8, device="cpu")
    layers = [one for one in base.network.modules() if isinstance(one, QuantizedLinear)]
    assert spy.packed == len(layers) == 21
    assert str(base.backend) == "spy (why)"
    assert {layer.weight_scale.dtype for layer in layers} == {torch.float32}, "its own scales"
    spy.unpacked = 0
    base.hidden(torch.tensor([[5, 6]]), torch.tensor([[True, True]]), None)
    assert spy.unpacked == len(layers)


@both
def test_stored_weights_are_only_unpacked_by_it(
    bits: Bits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(REF / f"chatglm2-tiny-int{bits}", tmp_path / "base")
    shutil.copy(REF / "chatglm2-tiny" / "tokenizer.model", folder)
    spy = Spy()
    monkeypatch.setattr("trainer.model.choose_backend", lambda *_, **__: Choice(spy.backend, "why"))
    load_base(str(folder), bits=bits, device="cpu")
    assert spy.packed == 0 and spy.unpacked > 0


def test_a_base_says_what_unpacks_it(tiny_base: Any, dense_base: Any) -> None:
    assert str(tiny_base.backend) == "torch (on the cpu)"
    assert dense_base.backend is None


def test_a_base_is_not_loaded_with_a_backend_that_cannot_run(tiny_base_folder: Path) -> None:
    for name in ("cpm_kernels", "bitsandbytes"):
        with pytest.raises(ConfigError, match="needs a CUDA card"):
            load_base(str(tiny_base_folder), device="cpu", backend=name)


# --- cpm_kernels ---------------------------------------------------------------------------------


def without_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the calls around a launch pass on a machine without CUDA."""
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=7))


class Launches:
    """``arith_ln_mul`` of cpm-kernels 1.0.11 on the CPU: its arguments and its arithmetic."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, int, int]] = []

    def __call__(
        self, batch: int, n: int, m: int, inp: int, alpha: int, out: int, stream: int
    ) -> None:
        assert m % 2 == 0 and n <= 65535, "as the package asserts, and as the grid allows"
        assert stream == 7
        self.shapes.append((batch, n, m))
        half(out, batch, n, m)[:] = half(inp, batch, n, m) * half(alpha, n)[None, :, None]


def half(pointer: int, *shape: int) -> Any:
    """The half-precision numbers at an address."""
    count = int(np.prod(shape))
    return np.frombuffer((ctypes.c_uint16 * count).from_address(pointer), np.float16).reshape(shape)


@both
@pytest.mark.parametrize(
    ("rows", "columns", "launches"),
    [
        (5, 12, [(1, 5, 12)]),
        (1, 2, [(1, 1, 2)]),
        (65537, 2, [(1, 65535, 2), (1, 2, 2)]),
    ],
)
def test_cpm_kernels_unpack_to_the_bits_of_torch(
    monkeypatch: pytest.MonkeyPatch,
    bits: Bits,
    rows: int,
    columns: int,
    launches: list[tuple[int, int, int]],
) -> None:
    without_a_card(monkeypatch)
    kernel = Launches()
    packed, scale = quantize_rows(torch.randn(rows, columns), bits)
    weight = cpm_backend(kernel).dequantize(packed, scale, bits, torch.float16)
    assert torch.equal(weight, dequantize_rows(packed, scale, bits, torch.float16))
    assert kernel.shapes == launches


def test_cpm_kernels_take_an_odd_number_of_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    without_a_card(monkeypatch)
    kernel = Launches()
    packed, scale = quantize_rows(torch.randn(3, 5), 8)
    weight = cpm_backend(kernel).dequantize(packed, scale, 8, torch.float16)
    assert torch.equal(weight, dequantize_rows(packed, scale, 8, torch.float16))
    assert kernel.shapes == [(1, 3, 6)]


@both
@given(seed=st.integers(0, 2**31), scale=st.sampled_from([1e-7, 1e-5, 1e-3, 1.0, 100.0]))
@settings(max_examples=50, deadline=None)
def test_in_bfloat16_cpm_kernels_keep_the_bound_that_they_promise(
    bits: Bits, seed: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    packed, scales = quantize_rows(torch.randn(4, 16, generator=generator) * scale, bits)
    with pytest.MonkeyPatch.context() as patch:
        without_a_card(patch)
        weight = cpm_backend(Launches()).dequantize(packed, scales, bits, torch.bfloat16)
    assert weight.dtype == torch.bfloat16
    exact = dequantize_rows(packed, scales, bits, torch.float32)
    bound = (2**-8 + 2**-11 + 2**-18) * exact.abs()
    assert bool(((weight.float() - exact).abs() <= bound).all())


# --- bitsandbytes --------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("shape", [(5, 64), (3, 128), (7, 6), (1, 2), (4100, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bitsandbytes_keeps_its_error_bound(
    bits: Bits, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    """On the library's own CPU code, where it is installed: the calls are the same."""
    backend = bitsandbytes_backend(pytest.importorskip("bitsandbytes.functional"))
    check_bitsandbytes(backend, torch.randn(shape).to(dtype), bits)


def check_bitsandbytes(backend: Backend, weight: Tensor, bits: Bits) -> None:
    packed, scale = backend.quantize(weight, bits)
    assert packed.shape == (weight.shape[0], weight.shape[1] * bits // 8)
    back = backend.dequantize(packed, scale, bits, weight.dtype)
    assert (back.shape, back.dtype) == (weight.shape, weight.dtype)
    # Half a step of int8; the widest gap of NF4 is from -1 to -0.696. Then the rounding.
    step = {8: 0.5 / 127, 4: 0.1520}[bits]
    largest = weight.float().abs().amax(dim=1, keepdim=True) if bits == 8 else weight.abs().max()
    error = (back.float() - weight.float()).abs()
    assert bool((error <= (step + 2**-8) * largest.float()).all())


def test_an_odd_number_of_columns_is_refused_for_nf4() -> None:
    with pytest.raises(ConfigError, match="has 5"):
        bitsandbytes_backend(SimpleNamespace()).quantize(torch.randn(2, 5), 4)


# --- a run ---------------------------------------------------------------------------------------


def test_the_setting_is_read_and_misspelt_ones_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert TrainConfig().quantization_backend == "auto"
    run = ("train", str(GOOD), "--out", str(tmp_path / "run"))
    assert main([*run, "--set", "quantization_backend=cuda"]) == 2
    assert "quantization_backend" in capsys.readouterr().err


def test_a_run_is_told_what_unpacks_its_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, tiny_base_folder: Path
) -> None:
    run = str(tmp_path / "run")
    words = ["train", str(GOOD), "--base", str(tiny_base_folder), *QUICK, "--out", run]
    assert main([*words, "--set", "quantization_backend=cpm_kernels"]) == 2
    error = capsys.readouterr().err
    assert "cpm_kernels needs a CUDA card, and this runs on the cpu" in error
    assert "--set quantization_backend=torch" in error and not Path(run).exists()

    assert main(words) == 0
    assert "backend" in (out := capsys.readouterr().out) and "torch (on the cpu)" in out
    assert main(["eval", run, "--limit", "1"]) == 0
    assert "weights unpacked by torch (on the cpu)" in capsys.readouterr().err


def test_a_run_is_served_by_what_its_prefix_needs(tmp_path: Path, tiny_base_folder: Path) -> None:
    run = tmp_path / "run"
    base = ("--base", str(tiny_base_folder))
    assert main(["train", str(GOOD), *base, *QUICK, "--out", str(run)]) == 0
    card = run / "checkpoint-2" / "checkpoint.json"
    text = json.loads(card.read_text("utf-8"))

    def trained_with(backend: str) -> None:
        text["settings"]["quantization_backend"] = backend
        card.write_text(json.dumps(text), "utf-8")

    trained_with("cpm_kernels")
    assert str(load_tuned(run, device="cpu").base.backend) == "torch (on the cpu)"
    trained_with("bitsandbytes")
    with pytest.raises(ConfigError, match="bitsandbytes needs a CUDA card"):
        load_tuned(run, device="cpu")
    assert [served_by(name) for name in ("auto", "torch")] == ["auto", "torch"]


# --- on a card -----------------------------------------------------------------------------------

gpu = pytest.mark.gpu
layers = pytest.mark.parametrize("shape", [(64, 128), (27392, 4096), (70000, 64)])


def on_a_card(name: str, **given: Any) -> Backend:
    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA card")
    return chosen(name, **given).backend


@gpu
@both
@layers
def test_cpm_kernels_on_a_card_give_the_bits_of_torch(bits: Bits, shape: tuple[int, int]) -> None:
    backend = on_a_card("cpm_kernels", bits=bits)
    packed, scale = quantize_rows(torch.randn(shape, device=CARD), bits)
    weight = backend.dequantize(packed, scale, bits, torch.float16)
    assert torch.equal(weight, dequantize_rows(packed, scale, bits, torch.float16))
    rounded = backend.dequantize(packed, scale, bits, torch.bfloat16)
    assert torch.equal(rounded, weight.to(torch.bfloat16))


@gpu
def test_cpm_kernels_on_a_card_take_an_odd_number_of_columns() -> None:
    backend = on_a_card("cpm_kernels")
    packed, scale = quantize_rows(torch.randn(33, 65, device=CARD), 8)
    weight = backend.dequantize(packed, scale, 8, torch.float16)
    assert torch.equal(weight, dequantize_rows(packed, scale, 8, torch.float16))


@gpu
def test_cpm_kernels_on_a_card_wait_for_the_stream_they_are_called_in() -> None:
    backend = on_a_card("cpm_kernels")
    dense = torch.randn(4096, 4096, device=CARD)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        packed, scale = quantize_rows(dense, 8)
        weight = backend.dequantize(packed, scale, 8, torch.float16)
        assert torch.equal(weight, dequantize_rows(packed, scale, 8, torch.float16))


@gpu
@both
@layers
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_bitsandbytes_on_a_card_keeps_its_error_bound(
    bits: Bits, shape: tuple[int, int], dtype: torch.dtype
) -> None:
    backend = on_a_card("bitsandbytes", bits=bits, dtype=dtype)
    check_bitsandbytes(backend, torch.randn(shape, device=CARD).to(dtype), bits)


@gpu
@layers
def test_bitsandbytes_on_a_card_unpacks_int8_as_torch_does(shape: tuple[int, int]) -> None:
    """Its scale is the largest value of a row, ours a 127th of it: only the rounding differs."""
    backend = on_a_card("bitsandbytes", dtype=torch.float32)
    packed, largest = backend.quantize(torch.randn(shape, device=CARD), 8)
    ours = dequantize_rows(packed, largest / 127, 8, torch.float32)
    assert torch.allclose(backend.dequantize(packed, largest, 8, torch.float32), ours, rtol=1e-6)


@gpu
@layers
def test_bitsandbytes_on_a_card_unpacks_nf4_to_its_sixteen_levels(shape: tuple[int, int]) -> None:
    backend = on_a_card("bitsandbytes", bits=4, dtype=torch.float32)
    packed, largest = backend.quantize(torch.randn(shape, device=CARD), 4)
    functional = pytest.importorskip("bitsandbytes.functional")
    levels = functional.get_4bit_type("nf4", device=CARD)
    number = torch.stack((packed >> 4, packed & 15), dim=-1).flatten().int()
    table = (levels[number].view(-1, 64) * largest[:, None]).view(shape)
    assert torch.equal(backend.dequantize(packed, largest, 4, torch.float32), table)


@gpu
@both
@pytest.mark.parametrize("name", ["cpm_kernels", "bitsandbytes"])
def test_output_and_gradient_on_a_card_are_those_of_the_unpacked_weights(
    bits: Bits, name: str
) -> None:
    backend = on_a_card(name, bits=bits)
    layer = QuantizedLinear.from_linear(nn.Linear(128, 64).half().to(CARD), bits, backend)
    twin = nn.Linear(128, 64, device=CARD, dtype=torch.float16)
    weight = backend.dequantize(layer.weight, layer.weight_scale, bits, torch.float16)
    twin.weight = nn.Parameter(weight, requires_grad=False)
    twin.bias = nn.Parameter(layer.bias, requires_grad=False)
    x = torch.randn(3, 128, device=CARD, dtype=torch.float16, requires_grad=True)
    assert torch.allclose(layer(x), twin(x), atol=1e-2)
    (own,) = torch.autograd.grad(layer(x).float().sum(), x)
    (theirs,) = torch.autograd.grad(twin(x).float().sum(), x)
    assert torch.allclose(own, theirs, atol=1e-2) and bool(own.abs().sum() > 0)

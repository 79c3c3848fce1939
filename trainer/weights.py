"""Streaming load: tensor after tensor from disk into a model that is still empty.

A 6B model is 12.5 GB in half precision and 3.9 GB in int4. Loading it whole to pack it
afterwards needs the larger figure, which is what keeps people from using their one
card. Here the model is made without memory; each tensor is read, packed, put in its
place and forgotten, so that the peak is the packed model and one shard.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from trainer.bases import pointer_fault
from trainer.errors import BaseModelError, Fault
from trainer.language import say
from trainer.quantize import TORCH, Backend, Bits, QuantizedLinear, replace_linears

_SINGLE = ("model.safetensors", "pytorch_model.bin")
_TYPES = {
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I8": torch.int8,
}
"""What weights are stored in, as safetensors names it; for the rest a tensor is asked."""

_CHUNK = 8192
"""Rows of a half-precision output layer that are widened at once."""


# --- reading -------------------------------------------------------------------------------


def weight_files(folder: Path) -> list[Path]:
    """Return the shards of a Hugging Face folder in order.

    Raises:
        BaseModelError: there are none, some are missing, or the index cannot be read.
    """
    files = listed_files(folder)
    if faults := [fault for path in files if (fault := file_fault(path))]:
        raise BaseModelError(faults=tuple(faults))
    return files


def listed_files(folder: Path) -> list[Path]:
    """Return the shards that a Hugging Face folder should have, whether they are there or not.

    Raises:
        BaseModelError: there are none, or the index cannot be read.
    """
    for single in _SINGLE:
        index = folder / f"{single}.index.json"
        if index.is_file():
            return [folder / name for name in _listed(index)]
        if (folder / single).is_file():
            return [folder / single]
    raise BaseModelError(
        say(zh="这里没有权重文件", en="there are no weights here"),
        path=folder,
        fix=say(
            zh=f"需要 {' 或 '.join(_SINGLE)}（或它们的 .index.json 和全部分片）",
            en=f"it needs {' or '.join(_SINGLE)}, or an .index.json with all its shards",
        ),
        code="weights-missing",
    )


def read_tensors(files: Iterable[Path]) -> Iterator[tuple[Path, str, Tensor]]:
    """Yield each file's tensors, mapped from disk; a file is let go before the next.

    A pickled file is read with ``weights_only``: code in it is refused, not run.

    Raises:
        BaseModelError: a file is cut short, damaged, or wants to run code.
    """
    for path in files:
        with _reading(path):
            if path.suffix == ".safetensors":
                yield from _safetensors(path)
            else:
                yield from _pickled(path)


def read_headers(files: Iterable[Path]) -> Iterator[tuple[Path, str, Tensor]]:
    """Yield what :func:`read_tensors` does, but tensors without memory: names, shapes and types.

    Mapping a tensor makes the system read ahead where it begins, which of a large folder on
    a slow disk takes seconds.

    Raises:
        BaseModelError: a file is cut short, damaged, or wants to run code.
    """
    for path in files:
        with _reading(path):
            if path.suffix == ".safetensors":
                yield from _safetensors_header(path)
            else:
                yield from ((path, name, tensor.to("meta")) for _, name, tensor in _pickled(path))


def tensor_names(files: Iterable[Path]) -> set[str]:
    """Return the names of the tensors in ``files``, without reading them."""
    return {name for _, name, _ in read_headers(files)}


def _listed(index: Path) -> list[str]:
    try:
        return sorted({str(name) for name in json.loads(index.read_bytes())["weight_map"].values()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BaseModelError(
            say(zh=f"分片目录读不了：{error}", en=f"the list of shards cannot be read: {error}"),
            path=index,
            fix=say(zh="重新下载这个文件", en="download this file again"),
            code="weights-index",
        ) from error


def file_fault(path: Path) -> Fault | None:
    """Say what keeps a shard from being read at all: it is missing, or only points to one."""
    if not path.is_file():
        return Fault(
            say(
                zh="缺这个分片，它列在分片目录（.index.json）里",
                en="this shard is missing, though the .index.json lists it",
            ),
            path,
            fix=say(zh="下载这个文件", en="download this file"),
            code="weights-missing",
        )
    return pointer_fault(path)


def _safetensors(path: Path) -> Iterator[tuple[Path, str, Tensor]]:
    from safetensors import safe_open

    opener: Any = safe_open
    with opener(path, framework="pt", device="cpu") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping, its only way to list names
            yield path, name, file.get_tensor(name)


def _safetensors_header(path: Path) -> Iterator[tuple[Path, str, Tensor]]:
    from safetensors import safe_open

    opener: Any = safe_open
    with opener(path, framework="pt", device="cpu") as file:
        for name in file.keys():  # noqa: SIM118  # no mapping, its only way to list names
            part = file.get_slice(name)
            dtype = _TYPES.get(part.get_dtype()) or file.get_tensor(name).dtype
            yield path, name, torch.empty(part.get_shape(), dtype=dtype, device="meta")


def _pickled(path: Path) -> Iterator[tuple[Path, str, Tensor]]:
    try:
        tensors = _unpickled(path)
    except (UnpicklingError, RuntimeError):
        raise
    except Exception as error:  # damaged instructions lead the unpickler anywhere
        raise ValueError(f"{type(error).__name__}: {error}") from error
    if not isinstance(tensors, dict):
        raise ValueError(f"{type(tensors).__name__} instead of named tensors")
    while tensors:
        name, tensor = tensors.popitem()
        if isinstance(tensor, Tensor):
            yield path, name, tensor


def _unpickled(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
    # A file in the format of before PyTorch 1.6 can only be read whole.
    return torch.load(path, map_location="cpu", weights_only=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    from safetensors import SafetensorError

    try:
        yield
    except UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise _damaged(path, error) from error
        raise BaseModelError(
            say(
                zh="这个文件不只是权重：它带有要执行的代码，没有读它",
                en="this file is more than weights: it holds code to be run, and was not read",
            ),
            path=path,
            fix=say(
                zh="从可信的来源重新下载，最好是 .safetensors",
                en="download it again from a source you trust, best as .safetensors",
            ),
            code="weights-unsafe",
        ) from error
    except (OSError, ValueError, EOFError, RuntimeError, SafetensorError) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> BaseModelError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    size = path.stat().st_size
    return BaseModelError(
        say(
            zh=f"权重文件读不了（{size:,} 字节）：{reason}",
            en=f"the weights cannot be read ({size:,} bytes): {reason}",
        ),
        path=path,
        fix=say(
            zh="文件可能没下载全；和来源比一下大小，重新下载它",
            en="it may be half a download; compare its size and download it again",
        ),
        code="weights-damaged",
    )


# --- building ------------------------------------------------------------------------------


@contextmanager
def without_memory() -> Iterator[None]:
    """Make modules whose parameters hold no memory; buffers are computed as ever."""
    register = nn.Module.register_parameter

    def empty(self: nn.Module, name: str, param: nn.Parameter | None) -> None:
        made = None if param is None else nn.Parameter(param.to("meta"), requires_grad=False)
        register(self, name, made)

    nn.Module.register_parameter = empty  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


class HalfEmbedding(nn.Module):
    """An embedding kept in half precision whose rows are widened when they are looked up.

    Args:
        weight: ``[vocabulary, hidden]``.
        dtype: of the rows that come out.
    """

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self._dtype = dtype

    def forward(self, ids: Tensor) -> Tensor:
        """Map ids ``[...]`` to rows ``[..., hidden]``."""
        weight: Any = self.weight
        return nn.functional.embedding(ids, weight).to(self._dtype)


class HalfLinear(nn.Module):
    """An output layer kept in half precision and widened some rows at a time.

    Args:
        weight: ``[vocabulary, hidden]``.
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., hidden]`` to ``[..., vocabulary]`` in the type of ``x``."""
        weight: Any = self.weight
        # The backward pass widens again: kept, the wide rows are twice the stored table.
        return torch.cat(
            [checkpoint(_widened, x, rows, use_reentrant=False) for rows in weight.split(_CHUNK)],
            dim=-1,
        )


def _widened(x: Tensor, rows: Tensor) -> Tensor:
    return nn.functional.linear(x, rows.to(x.dtype))


def stream_weights(
    network: Any,
    tensors: Iterable[tuple[Path, str, Tensor]],
    folder: Path,
    *,
    bits: Bits | None,
    packed: bool,
    place: torch.device,
    dtype: torch.dtype,
    backend: Backend = TORCH,
    report: Callable[[float], None] = lambda _done: None,
) -> None:
    """Fill a model that was made :func:`without_memory`, packing as it goes.

    Args:
        network: a transformers model for causal language modelling.
        tensors: file, transformers' name and tensor; packed weights are int8, and each
            comes with a ``weight_scale``.
        folder: where they come from.
        bits: what the linear layers are packed to; the output layer stays as it is.
        packed: the tensors are packed already and are used where they lie, mapped from
            their file; otherwise each is copied, so that its file can be let go.
        place: where the model runs.
        dtype: in which it computes.
        backend: packs and unpacks the linear layers.
        report: told the share that is done.

    Raises:
        BaseModelError: a tensor is unknown, of another shape, or missing.
    """
    if bits is not None:
        _prepare_packed(network, bits, backend)
    total = len(network.state_dict())
    for done, (path, name, tensor) in enumerate(tensors, start=1):
        _put(network, path, name, tensor.to(place), copies=not packed)
        report(min(1.0, done / total))
    network.tie_weights()
    missing = [name for name, tensor in network.state_dict().items() if tensor.is_meta]
    if missing:
        raise BaseModelError(faults=(_lacking(folder, missing),))
    _settle_types(network, dtype)
    network.to(place)


def misfits(
    network: Any,
    tensors: Iterable[tuple[Path, str, Tensor]],
    folder: Path,
    *,
    bits: Bits | None,
    whole: bool,
) -> list[Fault]:
    """Return all that :func:`stream_weights` would refuse; only names and shapes are looked at.

    Args:
        network: made :func:`without_memory`; its linear layers are changed.
        tensors: as for :func:`stream_weights`.
        folder: where they come from.
        bits: to how many the tensors are packed already.
        whole: these are all the tensors there are, so that others are missing.
    """
    if bits is not None:
        _prepare_packed(network, bits, TORCH)
    faults: list[Fault] = []
    seen: set[str] = set()
    for path, name, tensor in tensors:
        seen.add(name)
        try:
            _slot(network, path, name, tensor)
        except BaseModelError as error:
            faults += error.faults
    network.tie_weights()
    own = network.state_dict(keep_vars=True)  # a tied tensor is there once, under two names
    filled = {id(own[name]) for name in seen & own.keys()}
    missing = [name for name, tensor in own.items() if id(tensor) not in filled]
    return [*faults, _lacking(folder, missing)] if missing and whole else faults


def _lacking(folder: Path, missing: list[str]) -> Fault:
    return Fault(
        say(
            zh=f"权重里少了 {len(missing)} 个张量：{'、'.join(missing[:3])}",
            en=f"{len(missing)} tensors are missing: {', '.join(missing[:3])}",
        ),
        folder,
        fix=say(zh="重新下载缺的分片", en="download the missing shards again"),
        code="weights-missing",
    )


def _prepare_packed(network: Any, bits: Bits, backend: Backend) -> None:
    """Put an empty packed layer in the place of every linear one but the output layer."""
    replace_linears(
        network,
        lambda linear: QuantizedLinear.empty(linear, bits, backend),
        keep=network.get_output_embeddings(),
    )


def _put(network: nn.Module, path: Path, name: str, tensor: Tensor, *, copies: bool) -> None:
    """Set one tensor; a dense one for a packed layer is packed on the way."""
    module, leaf, dense = _slot(network, path, name, tensor)
    if dense:
        module.weight, module.weight_scale = module.backend.quantize(tensor, module.bits)
    elif leaf in module._parameters:
        kept = tensor.clone() if copies else tensor
        module._parameters[leaf] = nn.Parameter(kept, requires_grad=False)
    else:
        module._buffers[leaf] = tensor.clone() if copies else tensor


def _slot(network: nn.Module, path: Path, name: str, tensor: Tensor) -> tuple[Any, str, bool]:
    """Return the module a tensor is for, its name there, and whether it is yet to be packed."""
    where, _, leaf = name.rpartition(".")
    try:
        module: Any = network.get_submodule(where)
        place = getattr(module, leaf)
    except AttributeError:
        raise _misfit(
            path, zh=f"不认识的张量 {name}", en=f"{name} is no tensor of this model"
        ) from None
    dense = isinstance(module, QuantizedLinear) and leaf == "weight" and tensor.dtype != torch.int8
    wanted = (module.out_features, module.in_features) if dense else tuple(place.shape)
    if tuple(tensor.shape) != wanted:
        found = tuple(tensor.shape)
        raise _misfit(
            path,
            zh=f"{name} 的形状是 {found}，config.json 要求 {wanted}",
            en=f"{name} has shape {found}, but config.json asks for {wanted}",
        )
    return module, leaf, dense


def _settle_types(network: Any, dtype: torch.dtype) -> None:
    """Bring what is dense to ``dtype``; large half-precision tables stay as small as they are."""
    embedding, head = network.get_input_embeddings(), network.get_output_embeddings()
    if dtype == torch.float32 and type(embedding) is nn.Embedding and type(head) is nn.Linear:
        if embedding.weight.dtype != dtype:
            network.set_input_embeddings(HalfEmbedding(embedding.weight.detach(), dtype))
        if head.weight.dtype != dtype and head.bias is None:
            network.set_output_embeddings(HalfLinear(head.weight.detach()))
    for module in network.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.dtype != dtype:
                module._parameters[name] = nn.Parameter(parameter.to(dtype), requires_grad=False)
        if isinstance(module, QuantizedLinear) and module.bias is not None:
            module.bias = module.bias.to(dtype)
    network.tie_weights()


def _misfit(path: Path, *, zh: str, en: str) -> BaseModelError:
    return BaseModelError(
        say(zh=zh, en=en),
        path=path,
        fix=say(
            zh="config.json 和权重要出自同一个模型",
            en="config.json and the weights must be of one model",
        ),
        code="weights-misfit",
    )

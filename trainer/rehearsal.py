"""What a computation would hold in memory, found by going through it without any.

Formulas for activations are wrong as soon as an architecture, an attention kernel or our
own code changes. So the very code that trains is run on PyTorch's fake tensors, which
have shapes and types but no numbers, and what they would hold is counted while they live.
A step of a 6B model takes seconds this way and no memory.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

Kind = Callable[[Iterable[Tensor], Tensor], str]
"""Names what a new tensor is for, given what it is computed from and the tensor."""


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that are made within it, while they are alive.

    Views and saved tensors share a storage, which is counted once and lives as long as
    any of them. What kernels use inside is not seen.

    Args:
        kind: names what a new tensor is for.
    """

    def __init__(self, kind: Kind) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._kind = kind
        self._alive: dict[int, tuple[weakref.ref[Any], str, int]] = {}
        self._now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        """Bytes of each kind at the moment at which all together are the most."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        sources = [value for value in tree_iter((args, kwargs)) if isinstance(value, Tensor)]
        known = {id(source.untyped_storage()) for source in sources}
        for tensor in tree_iter(made):
            if isinstance(tensor, Tensor) and id(tensor.untyped_storage()) not in known:
                self._note(tensor, self._kind(sources, tensor))
        return made

    def _note(self, tensor: Tensor, kind: str) -> None:
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._alive:
            return
        self._alive[key] = (weakref.ref(storage, lambda _gone: self._forget(key)), kind, size)
        self._now[kind] += size
        if self._now.total() > self.peak.total():
            self.peak = self._now.copy()

    def _forget(self, key: int) -> None:
        _, kind, size = self._alive.pop(key)
        self._now[kind] -= size


@contextmanager
def without_numbers() -> Iterator[None]:
    """Make tensors that have a shape and a type, but neither numbers nor memory."""
    with FakeTensorMode():
        yield


def nbytes(tensor: Tensor) -> int:
    """Return the bytes that a tensor's storage takes."""
    return torch.numel(tensor) * tensor.element_size()

"""A thread for one call of code that may never return.

The standard executors are joined when the program ends, and share their threads among all:
one plugin that hangs would hold another's calls, and the exit, for good. A daemon thread for
each call holds nothing but itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call a function in a thread of its own, which sees the caller's context.

    Returns:
        What becomes of it. To give it up is to wait no longer: a thread cannot be ended.
    """
    future: Future[T] = Future()
    context = copy_context()

    def run() -> None:
        try:
            result = context.run(function, *args, **kwargs)
        except StopIteration as error:  # no future takes one, as no coroutine can raise it
            future.set_exception(RuntimeError(f"StopIteration: {error}"))
        except BaseException as error:  # anyone's code: it may call sys.exit
            future.set_exception(error)
        else:
            future.set_result(result)

    future.set_running_or_notify_cancel()
    try:
        threading.Thread(target=run, name=f"call {function.__name__}", daemon=True).start()
    except RuntimeError as error:  # the machine has no more
        future.set_exception(error)
    return future

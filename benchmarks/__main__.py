"""Entry point: run the named benchmarks, or all that are light."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHMARKS = ("startup", "page", "memory", "peer", "steps")
HEAVY = ("bot", "limits", "real_size", "retention")
"""Run only by name: two bots under load; a model of the true size; hours of training."""


def main() -> None:
    """Run the benchmarks named on the command line, in order; the light ones without a name."""
    names = sys.argv[1:] or list(BENCHMARKS)
    known = (*BENCHMARKS, *HEAVY)
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; known: {', '.join(known)}")
    for name in names:
        import_module(f"benchmarks.{name}").main()


main()

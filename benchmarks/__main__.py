"""Entry point: run the named benchmarks, or all of them."""

from __future__ import annotations

import sys
from importlib import import_module

BENCHMARKS = ("startup", "memory", "peer", "steps")


def main() -> None:
    """Run the benchmarks named on the command line, in order; all without a name."""
    names = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark is called {', '.join(unknown)}; known: {', '.join(BENCHMARKS)}")
    for name in names:
        import_module(f"benchmarks.{name}").main()


main()

"""What Renshe claims of its speed, memory and quality, measured and printed as tables.

``python -m benchmarks`` runs them all, ``python -m benchmarks NAME …`` some of them. Each
measurement is a process of its own, so that one's memory is not counted to another, and
what is compared runs in the same call: this is how figures of a noisy machine are read.
"""

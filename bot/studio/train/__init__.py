"""The tab Train: what to train, what it costs, and how it goes."""

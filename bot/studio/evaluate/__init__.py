"""The tab Evaluate: measuring a run, and what came of it."""

"""Questions that need many runs: comparisons, what holds a strategy back, what would help."""

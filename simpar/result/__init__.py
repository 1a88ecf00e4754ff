"""What every report reads: figures off a trace, and the rows of a comparison.

:mod:`simpar.result.measure` reads figures off a trace; :mod:`simpar.result.rows` holds them.
"""

from simpar.result.measure import BREAKDOWN, Measured, Use, Window
from simpar.result.rows import INTERVALS, SCHEMA, Bottleneck, Comparison, Interval, Row, Suggestion
from simpar.result.staleness import Staleness

__all__ = [
    "BREAKDOWN",
    "INTERVALS",
    "SCHEMA",
    "Bottleneck",
    "Comparison",
    "Interval",
    "Measured",
    "Row",
    "Staleness",
    "Suggestion",
    "Use",
    "Window",
]

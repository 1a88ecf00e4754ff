"""What every report reads: figures off a trace, and the rows of a comparison.

:mod:`simpar.result.measure` reads figures off a trace; :mod:`simpar.result.rows` holds them.
"""

from simpar.result.measure import BREAKDOWN, Measured, Use, Window
from simpar.result.rows import SCHEMA, Bottleneck, Comparison, Row, Suggestion
from simpar.result.staleness import Staleness

__all__ = [
    "BREAKDOWN",
    "SCHEMA",
    "Bottleneck",
    "Comparison",
    "Measured",
    "Row",
    "Staleness",
    "Suggestion",
    "Use",
    "Window",
]

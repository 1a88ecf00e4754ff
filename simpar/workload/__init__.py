"""What is trained: a model as layers, and the rules that cut it up.

:func:`build` makes the :class:`Workload` of a scenario, which is all that the rooms below know of a
model. ``presets`` holds models by name, built from shapes by ``builder``; ``import_pipedream`` and
``import_csv`` read measured ones, ``import_hf`` counts others from their configuration; ``splitting`` cuts
records and layers into parts, ``placement`` puts parameters on servers.

Nothing here imports pydantic at run time: executors load this room on machines that lack it.
"""

from simpar.workload.from_scenario import build
from simpar.workload.layers import DTYPE_BYTES, Layer, Tensor, Workload

__all__ = ["DTYPE_BYTES", "Layer", "Tensor", "Workload", "build"]

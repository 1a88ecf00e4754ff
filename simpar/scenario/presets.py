"""The names of everything that simpar ships, the only list of them.

Names only, so that a file is checked without loading a model or a datasheet. The rooms that hold
the figures define exactly these.
"""

MODEL_PRESETS = ("resnet-50", "vgg-16")
"""Names that ``model.preset`` takes."""

DEVICE_PRESETS = ("v100",)
"""Names that ``cluster.device`` takes."""

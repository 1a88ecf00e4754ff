"""The machines: devices, servers and links, as numbers with a source.

:func:`build` makes the :class:`Cluster` of a scenario, which is all that the rooms below know of machines.
``devices``, ``links`` and ``instances`` read the presets from the YAML files beside them, where every
number says where it comes from; :func:`device_table`, :func:`link_table` and :func:`instance_table` list
them for people. ``figures`` is the reader that the three share.

Nothing here imports pydantic at run time before a preset is asked for.
"""

from simpar.hardware.cluster import Cluster, Device, Intra, Network, Server
from simpar.hardware.devices import DevicePreset, device_table, load_devices
from simpar.hardware.figures import Figure, FigureRow
from simpar.hardware.instances import InstancePreset, instance_table, load_instances
from simpar.hardware.links import LinkPreset, link_table, load_links
from simpar.hardware.machines import build, nominal_bandwidth, nominal_intra_bandwidth

__all__ = [
    "Cluster",
    "Device",
    "DevicePreset",
    "Figure",
    "FigureRow",
    "InstancePreset",
    "Intra",
    "LinkPreset",
    "Network",
    "Server",
    "build",
    "device_table",
    "instance_table",
    "link_table",
    "load_devices",
    "load_instances",
    "load_links",
    "nominal_bandwidth",
    "nominal_intra_bandwidth",
]

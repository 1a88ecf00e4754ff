"""The machines: devices, servers and links, as numbers with a source.

:func:`build` makes the :class:`Cluster` of a scenario, which is all that the rooms below know of machines.
``devices`` reads the presets from ``devices.yaml``, where every number says where it comes from, and
:func:`device_table` lists them for people.

Nothing here imports pydantic at run time before a preset is asked for.
"""

from simpar.hardware.cluster import Cluster, Device, Network, Server
from simpar.hardware.devices import DeviceRow, device_table, load_devices
from simpar.hardware.machines import build

__all__ = ["Cluster", "Device", "DeviceRow", "Network", "Server", "build", "device_table", "load_devices"]

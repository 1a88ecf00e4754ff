"""Closed forms: what a step, a message or a shard costs, as functions of numbers.

Everything is SI: seconds, bytes, bytes per second, FLOP and FLOP per second. Nothing here knows of a
scenario, a clock or a file, so that each formula can be checked by hand in one line. They are used
in three ways: as durations inside a program, as lower bounds that no simulated step may beat, and as the
expected values of tests.

- :mod:`simpar.cost.compute`: FLOPs and bytes to seconds, and a measured time spread over layers.
- :mod:`simpar.cost.collectives`: messages, shared links, all-reduce in its forms.
- :mod:`simpar.cost.parameter_server`: push and pull, slices, hot shards, the servers' own work.
- :mod:`simpar.cost.pipeline`: GPipe's step and its bubble.
- :mod:`simpar.cost.memory`: bytes that each kind of machine holds.
- :mod:`simpar.cost.scaling`: Amdahl, Gustafson, weak scaling, uneven shards.
"""

"""Settings that simpar knows of and does not model yet: refused by name, not as misspellings.

The one table of them. When a setting arrives, its word leaves this page.
"""

LATER_KEYS: dict[str, tuple[str, ...]] = {
    "cluster": ("profile",),
    "ps-sync": ("compression",),
    "allreduce": ("shard",),
}
"""Keys by section."""

LATER_KEYS["ps-async"] = LATER_KEYS["ps-sync"]
LATER_KEYS["ps-ssp"] = (*LATER_KEYS["ps-sync"], "trigger", "softsync", "backup_workers", "late")

LATER_KINDS = ("local-sgd", "hybrid")
"""Kinds of strategy."""

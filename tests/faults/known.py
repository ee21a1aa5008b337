"""Cases that fail today, by their names. Fixing one means taking it out. None is known."""

KNOWN: frozenset[str] = frozenset()

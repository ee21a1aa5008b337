"""Cases that fail today. Fixing one means taking it out."""

KNOWN: frozenset[str] = frozenset()

"""Work that several handlers share."""

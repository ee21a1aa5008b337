"""Decisions and data: no I/O, no clock, no environment."""

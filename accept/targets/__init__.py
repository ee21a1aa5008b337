"""Finds the stage to check: a local gateway, a stage deployed with Chalice, or a stack."""

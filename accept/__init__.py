"""Checks from outside that a deployed stage, or a running local gateway, does what README says."""

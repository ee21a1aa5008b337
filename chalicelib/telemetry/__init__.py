"""Logs, metrics and latencies."""

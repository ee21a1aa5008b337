"""Runs a Chalice WebSocket app on this machine, like API Gateway and Lambda."""

"""Runs a Chalice WebSocket app on this machine as API Gateway and Lambda run it."""

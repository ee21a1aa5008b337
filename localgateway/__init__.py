"""Runs a Chalice WebSocket app on this machine, like API Gateway, Lambda and DynamoDB."""

__version__ = "0.1.0"

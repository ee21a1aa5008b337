"""Time and weigh the local gateway against serverless-offline: `python -m bench.gateway`."""

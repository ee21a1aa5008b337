"""Compare the local gateway with serverless-offline: `python -m bench.gateway`."""

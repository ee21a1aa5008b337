"""The connection registry: what ships to Lambda beside `app.py`."""

"""Warm CPU of the handlers against the bare `boto3` client calls that they make."""

"""The checks. Each is a coroutine that takes the run and returns what it saw.

It raises `FailedError`, `SkippedError` or `UndecidedError`, or botocore's error of a call.
"""

"""Sweeping the table: this project against a scan with a boto3 call for each row."""

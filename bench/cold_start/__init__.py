"""Cold start of the real deployment package against a plain module with `boto3.resource`."""

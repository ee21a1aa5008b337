"""Posting to every connection: this project against boto3 and an unsigned floor."""

"""The services outside, except the table."""

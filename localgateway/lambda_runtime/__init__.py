"""What Lambda does: run functions in execution environments when invoked or scheduled."""

"""The Lambda functions: one module each, named like the function."""

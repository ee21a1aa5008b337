"""API Gateway's `@connections` API: posting to, looking at and closing connections."""

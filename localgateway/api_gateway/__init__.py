"""What API Gateway does: handshakes, routes, events, responses, timeouts and @connections."""

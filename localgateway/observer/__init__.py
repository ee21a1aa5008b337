"""What happens in the gateway, kept for the console: a bounded list of events without secrets."""

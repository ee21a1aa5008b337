"""Ways to number notifications: what each loses across reconnects, and what it costs."""

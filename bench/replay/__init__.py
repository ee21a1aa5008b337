"""Three ways to number notifications: how many each loses across reconnects, and at what cost."""

"""What `chalice deploy` leaves to do: the tables before it, the release of routes after it."""

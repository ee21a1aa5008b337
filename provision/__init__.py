"""What `chalice deploy` leaves to do: tables and event buses before it, routes after it."""

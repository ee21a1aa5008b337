"""What `chalice deploy` leaves to do: tables, buses and topics before it, routes after it."""

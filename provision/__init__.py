"""Create what `chalice deploy` leaves out: tables, event buses and topics; then publish routes."""

"""Work out what a stage costs a month: everything that AWS meters for it, line by line."""

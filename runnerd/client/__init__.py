"""A client of the HTTP interface; imports nothing of the daemon."""

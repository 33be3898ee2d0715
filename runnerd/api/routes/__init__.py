"""The addresses, one file a subject, each with its list of endpoints."""

"""The HTTP interface: thin, it translates and delegates."""

"""Tables, queries and the places where databases differ."""

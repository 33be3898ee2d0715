"""Real engines of the tests' own."""

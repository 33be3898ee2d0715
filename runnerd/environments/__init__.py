"""Requirements to a lock, and a lock to an environment's plan. Content-addressed."""

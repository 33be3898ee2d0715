"""Faults: what is killed, starved or cut off, and what must hold all the same."""

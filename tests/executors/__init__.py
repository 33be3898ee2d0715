"""Tests of the built-in executors, with real processes."""

"""Tests of the runner file, run as the process it is."""

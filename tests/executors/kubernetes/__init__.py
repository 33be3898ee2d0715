"""Tests of the kubernetes executor, in a real cluster."""

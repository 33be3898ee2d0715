"""Tests of runnerd.store."""

"""Tests of runnerd.daemon."""

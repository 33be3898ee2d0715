"""Tests of runnerd; each folder mirrors a room of the package."""

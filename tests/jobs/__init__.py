"""Tests of runnerd.jobs."""

"""Tests of runnerd.scheduler."""

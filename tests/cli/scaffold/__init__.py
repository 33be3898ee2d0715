"""Tests of the plugins that `runnerd plugins new` makes."""

"""The published test kit for plugin authors."""

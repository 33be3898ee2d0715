"""The built-in executors, plugins like any other."""

"""Environments, with the real uv: against the real index, and against one that misbehaves."""

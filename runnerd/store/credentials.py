"""Secrets of tokens: made at random, kept as their hash only."""

import hashlib
import secrets


def new_secret(prefix: str) -> str:
    """Make a secret of 256 random bits; ``prefix`` tells people what it is for."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def digest_of(secret: str) -> str:
    """Give what is stored. A plain hash suffices: a random secret can't be guessed from it."""
    return hashlib.sha256(secret.encode()).hexdigest()

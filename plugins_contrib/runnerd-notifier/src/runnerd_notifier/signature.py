"""The signature of a notification: made here, and checked by who receives it."""

import hashlib
import hmac

HEADER = "Runnerd-Signature"
ID_HEADER = "Runnerd-Delivery"
TOLERANCE = 300


def sign(secret: str, delivery: str, body: bytes, at: int) -> str:
    """Give the header's text for a body that is sent at ``at``, in seconds since the epoch."""
    signed = f"{at}.{delivery}.".encode() + body
    return f"t={at},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def verify(secret: str, delivery: str, body: bytes, header: str, now: float) -> bool:
    """Tell whether a body came from who knows the secret, within the last five minutes.

    A body that is caught and sent again later is refused by its time, and sooner by its
    ``delivery``, which a receiver should keep for as long.
    """
    fields = dict(part.partition("=")[::2] for part in header.split(","))
    try:
        at = int(fields.get("t", ""))
    except ValueError:
        return False
    right = sign(secret, delivery, body, at)
    return abs(now - at) <= TOLERANCE and hmac.compare_digest(right.encode(), header.encode())

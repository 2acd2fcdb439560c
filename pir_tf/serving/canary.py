"""Who sees the tuned generator: `stable` or `canary`, chosen from a user's id.

TensorFlow Serving's labels name versions and split no traffic; the asker chooses. A hash of the id chooses here, so one person
sees one generator, on every replica and after every restart, and nothing has to be stored.
"""

from __future__ import annotations

import hashlib

from pir_tf.errors import InputError

STABLE, CANARY = "stable", "canary"
"""Labels that `export/config/models.config` gives to the old and the tuned version."""


def label_for(user: str | int, canary_percent: float, *, salt: str = "") -> str:
    """The label whose version a user sees.

    Raising the percentage keeps everyone who saw the canary already, and lowering it returns people to `stable`.

    Args:
        user: the user's id; `7` and `"7"` are one user.
        canary_percent: share of users who see the canary, in percent, from 0 to 100.
        salt: what separates one trial from the next: another salt chooses other people.

    Raises:
        InputError: an id that is empty or neither text nor a whole number (everyone with it would be one user), or a
            percentage outside 0 to 100.
    """
    if isinstance(user, bool) or not isinstance(user, str | int) or user == "":
        raise InputError(
            f"User id {user!r} received, expected text or a whole number: give each user an id of their own."
        )
    if not 0 <= canary_percent <= 100:
        raise InputError(f"canary_percent is {canary_percent!r}, expected a share from 0 to 100: change it.")
    # Python's own hash() differs from process to process; this one is the same everywhere, for ever.
    digest = hashlib.sha256(f"{salt}:{user}".encode("utf-8", "surrogatepass")).digest()
    place = int.from_bytes(digest[:6], "big") / 2**48  # 48 bits are exact in a float, so 1.0 is never reached
    return CANARY if place < canary_percent / 100 else STABLE

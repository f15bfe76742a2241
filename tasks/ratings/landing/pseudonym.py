"""Participants' ids become keyed pseudonyms, so that nobody without the key can tell who one is, not even by trying.

    pseudonym = first 20 hexadecimal digits of HMAC-SHA256(key, codebook ␟ id)

The same key gives the same person the same pseudonym in every landing; another key makes everybody a stranger.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path

from configs.errors import InputError
from tasks.runtime.files import kept_secret

VARIABLE = "PLURALIGN_SECRET"
DIGITS = 20
SHORTEST_KEY = 16


def keyed_digest(key: bytes, text: str) -> str:
    """HMAC-SHA256 in hexadecimal digits."""
    return hmac.digest(key, text.encode(errors="surrogatepass"), hashlib.sha256).hex()


def pseudonyms(key: bytes, codebook: str) -> Callable[[str], str]:
    """Id → pseudonym; the same id in two questionnaires is two people's."""
    return lambda text: keyed_digest(key, f"{codebook}\x1f{text}")[:DIGITS]


def key_check(key: bytes) -> str:
    """Eight digits by which a key is known again; they don't tell it."""
    return keyed_digest(key, "which key is it?")[:8]


def find_key(home: Path, kept_elsewhere: Callable[[str], str | None] = lambda name: None) -> bytes:
    """The key: of `PLURALIGN_SECRET`, else what is kept elsewhere, else that of `HOME/secret`, made at the first call.

    Raises:
        InputError: it is shorter than 16 characters.
    """
    if given := os.environ.get(VARIABLE):
        return _long_enough(given.encode(), VARIABLE)
    if (kept := kept_elsewhere(VARIABLE)) is not None:
        return _long_enough(kept.encode(), "the secret block")
    return _long_enough(kept_secret(home / "secret"), str(home / "secret"))


def _long_enough(key: bytes, place: str) -> bytes:
    if len(key) < SHORTEST_KEY:
        raise InputError(f"{place}: a secret of {len(key)} characters can be guessed; give at least {SHORTEST_KEY}")
    return key

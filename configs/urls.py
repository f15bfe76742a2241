"""Addresses of endpoints: what a setting may say, and which key goes where.

A key belongs to a host: its variable is named after the host that it is sent to, so no study can send it elsewhere.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

OPENAI = "https://api.openai.com/v1"
OPENAI_HOST, OPENAI_KEY = "api.openai.com", "OPENAI_API_KEY"
HOST = re.compile(r"[a-z0-9]([a-z0-9_-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9_-]*[a-z0-9])?)*")
ALLOWED = "allowed: http://HOST:PORT/… with a port of 1 to 65535"
ESCAPES = {"_": "___", "-": "__", ".": "_", ":": "_"}
"""How a host is written in a variable's name, so that hosts that look alike have names of their own."""


def checked_address(url: str) -> str:
    """An endpoint's address. The message of a fault never shows it, since there may be a password in it.

    Raises:
        ValueError: it is none, or holds a user name, a password, a query or a fragment.
    """
    if not url.isprintable() or " " in url:
        raise ValueError("holds a blank or a control character; allowed: http://HOST/… or https://HOST/…")
    if not url.lower().startswith(("http://", "https://")):
        raise ValueError("does not begin with http:// or https://")
    if "@" in url:
        raise ValueError(
            "holds a user name or password (@); leave them out: a key goes into an environment variable, "
            f"{OPENAI_KEY} for {OPENAI_HOST}, {key_variable('HOST')} with the host's name for any other"
        )
    if "?" in url or "#" in url:
        raise ValueError("holds a query or fragment (? or #); leave it out: a key goes into an environment variable")
    try:
        named, port = host_of(url), urlsplit(url).port
    except ValueError:
        raise ValueError(
            "its host or port can't be read; allowed: http://HOST:PORT/… with a port of 1 to 65535"
        ) from None
    if not named or port == 0:
        raise ValueError(f"has no host, or port 0; {ALLOWED}")
    if is_openai(named) and not is_encrypted(url):
        raise ValueError(f"must be https:// for {OPENAI_HOST}, or the key would travel unencrypted")
    return url


def host_of(url: str) -> str:
    """Its host in lower case, as ASCII and without a closing dot. Raises `ValueError` where that is no host's name."""
    named = (urlsplit(url).hostname or "").rstrip(".")
    if ":" in named:
        return str(ipaddress.ip_address(named))
    plain = named.encode("idna").decode().lower()
    if plain and not HOST.fullmatch(plain):
        raise ValueError("no host's name")
    return plain


def is_encrypted(url: str) -> bool:
    return urlsplit(url).scheme == "https"


def is_openai(host: str) -> bool:
    """Whether OpenAI's own key belongs to the host: its address, and those of its regions."""
    return host == OPENAI_HOST or host.endswith(f".{OPENAI_HOST}")


def is_this_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def key_variable(host: str) -> str:
    """The environment variable with the key that is sent to a host: `JUDGE_KEY_API_GROQ_COM` for api.groq.com."""
    if is_openai(host):
        return OPENAI_KEY
    return "JUDGE_KEY_" + "".join(ESCAPES.get(letter, letter) for letter in host).upper()

"""Tokens: what a customer shows to be known, and the keys by which two of them are found to be the same.

A token is sent plain or as a hash of its plain instance. A plain token answers to both of its hashes, a hashed one only
to its own kind: two tokens are the same where their sets of keys meet. Hashes are taken over the UTF-8 of the instance
in upper case, and compared without case; the sub-type is not compared.
Source: OCHP 1.4, EMT-ID; *hub*: hashes of the upper-case instance, and what answers to what.
"""

import re
from hashlib import sha1, sha256
from typing import Annotated, Final, NamedTuple

from msgspec import Meta

from app.records.base import Record
from app.uploads.checks import Flaw, RefusalCode
from app.vocabulary import TokenRepresentation, TokenSubType, TokenType

#: Characters that can be printed, without blanks at the ends.
_INSTANCE: Final = re.compile(r"(?!\s)[^\x00-\x1f\x7f\ud800-\udfff]+(?<!\s)")
_HASHES: Final = {TokenRepresentation.SHA_160: 40, TokenRepresentation.SHA_256: 64}
_HEXADECIMAL: Final = re.compile("[0-9A-Fa-f]+")
_PREFIXES: Final = {TokenType.RFID: "R:", TokenType.ISO_15118: "I:", TokenType.REMOTE: "M:"}

Instance = Annotated[str, Meta(min_length=1, max_length=512, extra={"expected": "a text"})]


class Token(Record, frozen=True, kw_only=True):
    """A token as it was sent, right in shape. It names no owner: two providers may have the same."""

    instance: Instance
    type: TokenType
    sub_type: TokenSubType | None = None
    representation: TokenRepresentation = TokenRepresentation.PLAIN

    @property
    def keys(self) -> "TokenKeys":
        return keys_of(self)


class TokenKeys(NamedTuple):
    """`key` identifies a token within a provider. `key_160`: None where the plain instance is not known."""

    key: str
    key_160: str | None

    @property
    def all(self) -> list[str]:
        return [each for each in dict.fromkeys(self) if each is not None]


def keys_of(token: Token) -> TokenKeys:
    """Return the keys of a token."""
    prefix = _PREFIXES[token.type]
    match token.representation:
        case TokenRepresentation.PLAIN:
            plain = token.instance.upper().encode()
            # OCHP's sha-160 names a card, it protects nothing.
            return TokenKeys(
                prefix + sha256(plain).hexdigest(), prefix + sha1(plain, usedforsecurity=False).hexdigest()
            )
        case TokenRepresentation.SHA_160:
            key = prefix + token.instance.lower()
            return TokenKeys(key, key)
        case TokenRepresentation.SHA_256:
            return TokenKeys(prefix + token.instance.lower(), None)


def token_flaw(token: Token) -> Flaw | None:
    """Return what is wrong with the instance of a token, without quoting it: it is personal data."""
    length = _HASHES.get(token.representation)
    if length is None:
        if _INSTANCE.fullmatch(token.instance):
            return None
        message = "expected 1 to 512 printable characters, without blanks at the ends"
    elif len(token.instance) == length and _HEXADECIMAL.fullmatch(token.instance):
        return None
    else:
        message = f"{token.representation} has {length} hexadecimal digits; this has {len(token.instance)} characters"
    return Flaw(".instance", RefusalCode.PATTERN, message)


def columns_of_token(token: Token) -> dict[str, str | None]:
    """Return a token as the columns that every table of tokens has."""
    key, key_160 = keys_of(token)
    return {
        "token_key": key,
        "token_key_160": key_160,
        "token_type": token.type.value,
        "token_sub_type": None if token.sub_type is None else token.sub_type.value,
        "representation": token.representation.value,
        "instance": token.instance,
    }

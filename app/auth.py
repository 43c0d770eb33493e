"""Who is asking: from the key in a request to a verified caller.

A secret looks like `ochub_<32 random characters><6 of checksum>`: the prefix lets scanners find leaked keys, the
checksum tells a typing error from a revoked key without asking the database.
"""

import secrets
import string
import time
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from app.db.engine import Database
from app.errors import Unauthenticated
from app.vocabulary import Role

PREFIX = "ochub_"
ALPHABET = string.digits + string.ascii_letters
RANDOM_CHARACTERS = 32
CHECKSUM_CHARACTERS = 6
SHOWN_CHARACTERS = len(PREFIX) + 6
CACHED_KEYS = 10_000
NEVER = float("-inf")
STILL_GOOD = "select hash from unnest($1::bytea[]) as hash where exists (select from authenticate(hash))"


@dataclass(frozen=True, slots=True)
class Caller:
    """A partner acting in one of its roles, verified. `party_id` is None for NSPs and the administrator."""

    key_id: UUID
    role_id: int
    partner_id: UUID
    partner_name: str
    role: Role
    party_id: str | None
    #: What the hub keeps of the key's secret: whether the key is still good is asked by it.
    secret_hash: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_administrator(self) -> bool:
        return self.role is Role.ADMINISTRATOR


def new_secret() -> str:
    """Make a key's secret: 190 bits of chance."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return PREFIX + body + _checksum(body)


def hash_secret(secret: str) -> bytes:
    """Give what the hub keeps of a secret. A plain hash is enough: nobody guesses 190 bits."""
    return sha256(secret.encode()).digest()


def shown_prefix(secret: str) -> str:
    """Give the part of a secret that may be shown, so that people can tell keys apart."""
    return secret[:SHOWN_CHARACTERS]


def looks_like_a_secret(text: str) -> bool:
    """Say whether prefix, length and checksum fit."""
    body, checksum = text[len(PREFIX) : -CHECKSUM_CHARACTERS], text[-CHECKSUM_CHARACTERS:]
    return (
        text.startswith(PREFIX)
        and len(body) == RANDOM_CHARACTERS
        and all(c in ALPHABET for c in body)
        and secrets.compare_digest(checksum.encode(), _checksum(body).encode())
    )


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits: list[str] = []
    for _ in range(CHECKSUM_CHARACTERS):
        number, digit = divmod(number, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(digits)


@dataclass(slots=True)
class Keys:
    """Verified keys, trusted for `trusted_s` seconds: a key revoked elsewhere stops working that much later."""

    database: Database
    trusted_s: float
    _known: dict[bytes, tuple[float, Caller]] = field(default_factory=dict)

    async def verify(self, authorization: str | None) -> Caller | None:
        """Give the caller behind an Authorization header, None for a stranger without one.

        Raises: Unauthenticated when there is a header but no good key in it.
        """
        if authorization is None:
            return None
        scheme, _, secret = authorization.partition(" ")
        secret = secret.strip()
        if scheme.lower() != "bearer" or not looks_like_a_secret(secret):
            raise Unauthenticated(
                "the Authorization header holds no key of this hub", "send `Authorization: Bearer ochub_...`"
            )
        return await self._find(hash_secret(secret))

    def is_new(self, authorization: str) -> bool:
        """Say whether it holds what looks like a key, and one that was never found good here: perhaps it is guessed."""
        secret = authorization.partition(" ")[2].strip()
        return looks_like_a_secret(secret) and hash_secret(secret) not in self._known

    async def _find(self, secret_hash: bytes) -> Caller:
        now = time.monotonic()
        known = self._known.get(secret_hash)
        if known is not None and now < known[0]:
            return known[1]
        rows = await self.database.fetch("select * from authenticate($1)", secret_hash)
        if not rows:
            self._known.pop(secret_hash, None)
            raise Unauthenticated(
                "this key is unknown, expired or revoked, or its partner is suspended",
                "ask the clearing house operator for a key, or rotate yours in time",
            )
        key_id, role_id, partner_id, partner_name, role, party_id = rows[0]
        caller = Caller(key_id, role_id, partner_id, partner_name, Role(role), party_id, secret_hash)
        if len(self._known) >= CACHED_KEYS:
            self._known.clear()
        self._known[secret_hash] = (now + self.trusted_s, caller)
        return caller

    async def still_good(self, secret_hashes: Collection[bytes]) -> set[bytes]:
        """Say which of these keys are good now, in one statement; the others are known no longer."""
        if not secret_hashes:
            return set()
        rows = await self.database.fetch(STILL_GOOD, list(secret_hashes))
        good = {bytes(row[0]) for row in rows}
        for ended in set(secret_hashes) - good:
            self._known.pop(ended, None)
        return good

    def forget(self) -> None:
        """Look every key up again: one was revoked, or a partner suspended, by this process."""
        self._known = {secret_hash: (NEVER, caller) for secret_hash, (_, caller) in self._known.items()}

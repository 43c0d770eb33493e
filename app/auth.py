"""API keys: from the key in a request to a verified caller.

A secret looks like `ochub_<32 random characters><6 of checksum>`: the prefix lets scanners find leaked keys, the
checksum tells a typing error from a revoked key without a database query.
"""

import secrets
import string
import time
import zlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from cachetools import LRUCache

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
    #: The stored hash of the key's secret, by which the key is checked again.
    secret_hash: bytes = field(default=b"", repr=False, compare=False)

    @property
    def is_administrator(self) -> bool:
        return self.role is Role.ADMINISTRATOR


def new_secret() -> str:
    """Make a key's secret, of 190 random bits."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return PREFIX + body + _checksum(body)


def hash_secret(secret: str) -> bytes:
    """Return the hash of a secret that is stored. A plain hash is enough for 190 random bits."""
    return sha256(secret.encode()).digest()


def shown_prefix(secret: str) -> str:
    """Return the part of a secret that may be shown, to tell keys apart."""
    return secret[:SHOWN_CHARACTERS]


def looks_like_a_secret(text: str) -> bool:
    """Return whether prefix, length and checksum fit."""
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
    """A cache of verified keys. A key that another process revoked is refused at most `trusted_s` later.

    `clock`: in seconds, never set back.
    """

    database: Database
    trusted_s: float
    clock: Callable[[], float] = time.monotonic
    _known: LRUCache[bytes, tuple[float, Caller]] = field(default_factory=lambda: LRUCache(CACHED_KEYS))

    async def verify(self, authorization: str | None) -> Caller | None:
        """Return the caller behind an Authorization header, None without one.

        Raises: Unauthenticated when there is a header but no valid key in it.
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
        """Return whether it holds a well-formed key that this process has not verified yet; it may be guessed."""
        secret = authorization.partition(" ")[2].strip()
        return looks_like_a_secret(secret) and hash_secret(secret) not in self._known

    async def _find(self, secret_hash: bytes) -> Caller:
        now = self.clock()
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
        self._known[secret_hash] = (now + self.trusted_s, caller)
        return caller

    async def still_good(self, secret_hashes: Collection[bytes]) -> set[bytes]:
        """Return which of these keys are valid now, in one statement; the others are evicted."""
        if not secret_hashes:
            return set()
        rows = await self.database.fetch(STILL_GOOD, list(secret_hashes))
        good = {bytes(row[0]) for row in rows}
        for ended in set(secret_hashes) - good:
            self._known.pop(ended, None)
        return good

    def forget(self) -> None:
        """Have every key looked up again, after this process revoked a key or suspended a partner."""
        for secret_hash, (_, caller) in list(self._known.items()):
            self._known[secret_hash] = (NEVER, caller)

"""Seals: what the hub gives out of the change log and takes back says nothing outside, and cannot be made elsewhere.

Each log has a key, in its database, which comes with every position that is read (app/db/sql/log.sql). A sealed text
names its log, in front, and is the same for the same content: AES-SIV, RFC 5297.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from cachetools import LRUCache
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.db.engine import Reader

T = TypeVar("T")

EPOCH_BYTES: Final = 6


class UnknownLog(ValueError):
    """The seal is of a log whose key this process has not read yet, or of another database."""


#: The logs of this process, by epoch: one, but where a database was restored beneath it.
_logs: "LRUCache[str, tuple[str, AESSIV]]" = LRUCache(100)


def learn(name: str) -> str:
    """Learn a log's key, from how a position names the log: epoch and key. Return the epoch."""
    epoch, _, key = name.partition(":")
    if _logs.get(epoch, ("", None))[0] != key:
        _logs[epoch] = key, AESSIV(bytes.fromhex(key))
    return epoch


def name_of(epoch: str) -> str:
    """Return how positions name a log. Raises: UnknownLog."""
    if epoch not in _logs:
        raise UnknownLog
    return f"{epoch}:{_logs[epoch][0]}"


def seal(epoch: str, content: bytes, purpose: bytes) -> bytes:
    """Seal a content under the key of a log that was learnt. It opens for the same purpose only."""
    return bytes.fromhex(epoch) + _logs[epoch][1].encrypt(content, [purpose])


def unseal(sealed: bytes, purpose: bytes) -> tuple[str, bytes]:
    """Return the epoch and the content. Raises: UnknownLog; ValueError for what was not sealed here."""
    epoch = sealed[:EPOCH_BYTES].hex()
    if epoch not in _logs:
        raise UnknownLog
    try:
        return epoch, _logs[epoch][1].decrypt(sealed[EPOCH_BYTES:], [purpose])
    except InvalidTag:
        raise ValueError("not sealed with the key of this log") from None


async def with_known_log(database: Reader, read: Callable[[], T]) -> T:
    """Read a cursor, once more after the log's key was read if that was missing: a process may just have started.

    Raises: UnknownLog when it is another log's; what `read` raises.
    """
    try:
        return read()
    except UnknownLog:
        [[position]] = await database.fetch("select log_position()")
        learn(position.partition(" ")[0])
        return read()

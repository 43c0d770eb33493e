"""What all tables share: the metadata, the types and the ways to write a constraint."""

from enum import StrEnum

from sqlalchemy import CheckConstraint, DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSON

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

Instant = DateTime(timezone=True)

#: Ids compare by byte, everywhere alike, whatever locale a database was made with.
Id = Text(collation="C")

#: Documents that are only stored and shown again. Not jsonb: it would reorder the keys and takes longer to read.
Document = JSON(none_as_null=True)


def one_of(column: str, vocabulary: type[StrEnum]) -> CheckConstraint:
    """Hold a text column to the words of a vocabulary, so that reads need not check them."""
    words = ", ".join(f"'{word.value}'" for word in vocabulary)
    return CheckConstraint(f"{column} in ({words})", name=column)


def each_of(column: str, vocabulary: type[StrEnum]) -> CheckConstraint:
    """Hold every element of a text array to the words of a vocabulary."""
    words = ", ".join(f"'{word.value}'" for word in vocabulary)
    return CheckConstraint(f"{column} <@ array[{words}]", name=column)


def mask_within(column: str, vocabulary: type[StrEnum]) -> CheckConstraint:
    """Hold a mask to the bits its vocabulary has."""
    return CheckConstraint(f"{column} >= 0 and {column} < {1 << len(vocabulary)}", name=column)

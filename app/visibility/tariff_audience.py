"""Whom a change of a tariff concerns: what the log notes of it, and how a viewer compares with that.

A provider must not learn that the individual tariff of another one changed, so the log names providers.
"""

from collections.abc import Sequence
from typing import Final

#: Among the providers that are named: all callers but these.
ALL_BUT: Final = "*"


def is_concerned(recipients: Sequence[str], provider_id: str | None) -> bool:
    """Return whether a row of the log concerns a provider; None: a caller that is shown defaults."""
    return (provider_id in recipients) != (ALL_BUT in recipients)

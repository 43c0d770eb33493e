"""A roaming authorisation as its provider publishes it, from plain JSON values to a checked record or refusals.

What is sent is personal data, so no refusal quotes it: refusals are stored, and shown again.
Source: OCHP 1.4, roaming authorisation.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from app.ids import InvalidId, normalise_contract_id
from app.records.base import Record
from app.records.token import Token, token_flaw
from app.uploads.checks import VISIBLE, Flaw, Instant, Refusal, RefusalCode, is_object, refusals, shape_flaws
from app.vocabulary import TokenType

T = TypeVar("T", bound=Record)

PrintedNumber = Annotated[str, Meta(min_length=1, max_length=150, pattern=VISIBLE, extra={"expected": "a text"})]


class AuthorisationInput(Record, frozen=True, kw_only=True):
    """One item as sent: right in shape."""

    token: Token
    contract_id: str
    printed_number: PrintedNumber | None = None
    expires_at: Instant


class Authorisation(Record, frozen=True, kw_only=True):
    """A token with the contract that pays for it. `contract_id`: normalised; `expires_at`: UTC."""

    token: Token
    contract_id: str
    printed_number: str | None = None
    expires_at: datetime


_SHAPE: Final = msgspec.inspect.type_info(AuthorisationInput)
_TOKEN_SHAPE: Final = msgspec.inspect.type_info(Token)
_EXPECTED_CONTRACT: Final = "expected a Contract-ID like DE-8AA-001234567-0 or DE8AA001234567"
REMOTE: Final = "remote tokens are not published; they come in CDRs only"


def read_authorisation(raw: Any, index: int) -> Authorisation | list[Refusal]:
    """Check one item and return the authorisation, or every refusal (at least one). Never raises on a JSON value."""
    sent, item = _decode(raw, AuthorisationInput), f"authorisations[{index}]"
    if sent is None:
        return refusals(map(unquoted, shape_flaws(raw, _SHAPE)), item, index)
    wrong = [Flaw(f".token{each.path}", each.code, each.message) for each in flaws_of_published(sent.token)]
    contract_id = contract_id_of(sent.contract_id)
    if contract_id is None:
        wrong.append(Flaw(".contractId", RefusalCode.INVALID_ID, f"{_EXPECTED_CONTRACT}, a check digit must be right"))
    if wrong or contract_id is None:
        return refusals(wrong, item, index)
    return Authorisation(
        token=sent.token,
        contract_id=contract_id,
        printed_number=sent.printed_number,
        expires_at=sent.expires_at.astimezone(UTC),
    )


def key_of_refused(raw: Any) -> str | None:
    """Return the key of the token of a refused item, whose previous record stays; None where it cannot be read."""
    sent = _decode(raw.get("token") if is_object(raw) else None, Token)
    return None if sent is None or flaws_of_published(sent) else sent.keys.key


def read_token(raw: Any, index: int, argument: str = "tokens") -> Token | list[Refusal]:
    """Check one token of a list, as `read_authorisation`."""
    sent, item = _decode(raw, Token), f"{argument}[{index}]"
    if sent is None:
        return refusals(map(unquoted, shape_flaws(raw, _TOKEN_SHAPE)), item, index)
    wrong = token_flaw(sent)
    return sent if wrong is None else refusals([wrong], item, index)


def contract_id_of(text: str) -> str | None:
    """Return the key of a Contract-ID; None for what is none, or has a wrong check digit."""
    try:
        return normalise_contract_id(text)
    except InvalidId:
        return None


def flaws_of_published(token: Token) -> list[Flaw]:
    """Return what is wrong with a token in a provider's list."""
    if token.type is TokenType.REMOTE:
        return [Flaw(".type", RefusalCode.UNKNOWN_VALUE, REMOTE)]
    wrong = token_flaw(token)
    return [] if wrong is None else [wrong]


#: What is said instead of a message that quotes what was sent.
_UNQUOTED: Final = {
    RefusalCode.UNKNOWN_FIELD: "it is not a field of this input",
    RefusalCode.WRONG_TYPE: "the value has another type than expected",
    RefusalCode.PATTERN: "the value is not written as the field needs it",
    RefusalCode.EMPTY: "the value is blank",
    RefusalCode.TOO_LONG: "the text has more characters than the field takes",
    RefusalCode.OUT_OF_RANGE: "the value is beyond what the field takes",
    RefusalCode.UNKNOWN_VALUE: "the value is not in the vocabulary",
}


def unquoted(flaw: Flaw) -> Flaw:
    """Return a flaw whose message does not quote what was sent."""
    path = flaw.path.rpartition(".")[0] if flaw.code is RefusalCode.UNKNOWN_FIELD else flaw.path
    return Flaw(path, flaw.code, _UNQUOTED.get(flaw.code, flaw.message))


def _decode(raw: Any, type_: type[T]) -> T | None:
    """Decode an item; its nulls stand for absent, as in GraphQL."""
    try:
        return msgspec.convert(_without_nulls(raw), type_)
    except ValueError:  # msgspec.ValidationError, and UnicodeEncodeError for lone surrogates
        return None


def _without_nulls(raw: Any) -> Any:
    if not is_object(raw):
        return raw
    return {name: _without_nulls(value) for name, value in raw.items() if value is not None}

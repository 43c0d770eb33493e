"""What uploads of charge points and of parking spots have in common: who acts, what is refused at once, the report."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, TypeVar
from uuid import UUID

from app.errors import Forbidden, HubError
from app.ids import (
    InvalidId,
    party_of,
    separated_party_id,
    storable,
)
from app.uploads.checks import Refusal, RefusalCode, show
from app.uploads.yielding import yielding

Record = TypeVar("Record")

#: How many refusals an answer lists. 16 MB can hold millions of items that are refused.
REFUSALS_LISTED: Final = 1_000
#: How many items one call takes: its work in the hub and its transaction stay short.
MOST_ITEMS: Final = 100_000


class TooManyItems(HubError):
    """A list that is uploaded has more items than one call takes."""

    code = "TOO_MANY_ITEMS"


class NotItsOperator(Forbidden):
    """The acting role does not hold the party id."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An operator, of EVSEs or of parking spots, acting: the partner, its role, and the party id it may write under.

    `operator_no` None: look it up.
    """

    partner_id: UUID
    role_id: int
    party_id: str
    operator_no: int | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of an upload; every item is counted once, though a refused one may have several refusals.

    `accepted` went in, new or changed; `unchanged` was there already. `warnings` are about items that were not refused.
    `refused_count` is given where items of several uploads are reported together, or not all of their refusals.
    """

    accepted: int
    unchanged: int
    removed: int
    refused: tuple[Refusal, ...]
    refused_count: int | None = None
    warnings: tuple[Refusal, ...] = ()

    @property
    def refused_items(self) -> int:
        """Return how many items were refused."""
        return count_items(self.refused) if self.refused_count is None else self.refused_count


class Reason(NamedTuple):
    """Why an item stays out; `field` is the part of the item that is at fault."""

    field: str
    code: str
    message: str


@dataclass(frozen=True)
class Noun(Generic[Record]):
    """A kind of thing that is uploaded, in the words of the API. `personal`: refusals must not name its id."""

    argument: str
    id_field: str
    id_argument: str
    id_name: str
    name: str
    id_of: Callable[[Record], str]
    normalise: Callable[[str], str]
    separated: Callable[[str], str]
    personal: bool = False

    def refusal(self, index: int, id_: str, reason: Reason) -> Refusal:
        """Refuse an item of a list of these."""
        return Refusal(
            path=f"{self.argument}[{index}]{reason.field}",
            index=index,
            id=None if self.personal else self.separated(id_),
            code=reason.code,
            message=reason.message,
        )

    def foreign(self, id_: str, owner: Owner) -> Reason:
        party_id = separated_party_id(owner.party_id)
        message = f"{self.separated(id_)} is not under your party id; ids that begin with {party_id} are possible"
        return Reason(f".{self.id_field}", RefusalCode.INVALID_ID, message)

    def duplicate(self, id_: str, winner: int) -> Reason:
        message = f"{self.separated(id_)} stands in this upload again; {self.argument}[{winner}], the last one, counts"
        return Reason(f".{self.id_field}", RefusalCode.DUPLICATE, message)

    def absent(self, index: int, id_: str, owner: Owner) -> Refusal:
        """Refuse to remove what is not there or not the owner's: the same words for both."""
        shown_id, party_id = self.separated(id_), separated_party_id(owner.party_id)
        return self.id_refusal(index, shown_id, f"{shown_id} is no {self.name} of {party_id}")

    def id_refusal(self, index: int, id_: str | None, message: str) -> Refusal:
        path = f"{self.id_argument}[{index}]"
        return Refusal(path=path, index=index, id=id_, code=RefusalCode.INVALID_ID, message=message)


async def sort_out(
    items: Sequence[Record | Refusal], owner: Owner, noun: Noun[Record]
) -> tuple[dict[int, Record], list[Refusal]]:
    """Return the items that the owner may write, by index, and the refusals that need no database."""
    refused = [item for item in items if isinstance(item, Refusal)]
    last: dict[str, int] = {}
    own: dict[int, Record] = {}
    async for index, item in yielding(records(items)):
        id_ = noun.id_of(item)
        if party_of(id_) != owner.party_id:
            refused.append(noun.refusal(index, id_, noun.foreign(id_, owner)))
        else:
            own[index] = item
            last[id_] = index
    async for index, item in yielding(list(own.items())):
        id_ = noun.id_of(item)
        if last[id_] == index:
            continue
        del own[index]
        refused.append(noun.refusal(index, id_, noun.duplicate(id_, last[id_])))
    return own, refused


def records(items: Iterable[Record | Refusal]) -> Iterator[tuple[int, Record]]:
    """Yield each record with its index in the upload, where a refused item may have left several refusals."""
    index = -1
    for item in items:
        if isinstance(item, Refusal):
            index = item.index
        else:
            index += 1
            yield index, item


async def read_ids(raw: Sequence[Any], noun: Noun[Any]) -> tuple[dict[int, str], list[Refusal]]:
    """Normalise ids by their index; what is none is refused."""
    named: dict[int, str] = {}
    refused: list[Refusal] = []
    async for index, sent in yielding(enumerate(raw)):
        try:
            named[index] = noun.normalise(sent if isinstance(sent, str) else "")
        except InvalidId as error:
            is_text = isinstance(sent, str)
            message = error.message if is_text else f"{show(sent)} is not {noun.id_name}; expected a text"
            refused.append(noun.id_refusal(index, storable(sent) if is_text else None, message))
    return named, refused


def count_items(refused: Iterable[Refusal]) -> int:
    """Count the items behind refusals: an item may have several, and items of two lists have the same index."""
    return len({refusal.path.partition("]")[0] for refusal in refused})


def worth_keeping(refusals: Sequence[Refusal], before: int) -> Sequence[Refusal]:
    """Return the refusals of an item; only the first, for counting, if an answer is full with those `before` it."""
    return refusals if before < REFUSALS_LISTED else refusals[:1]


def by_index(refused: Iterable[Refusal]) -> tuple[Refusal, ...]:
    """Put refusals in the order of the upload."""
    return tuple(sorted(refused, key=lambda refusal: refusal.index))

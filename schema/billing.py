"""The mutations by which operators publish what they ask for charging."""

from typing import Annotated

import strawberry

from app.exchange.tariffs.updates import remove_tariffs, update_tariffs
from app.records.tariff import Tariff
from app.records.tariff_input import read_tariff
from app.uploads.checks import Refusal
from app.uploads.items import Owner, worth_keeping
from app.uploads.yielding import yielding
from app.vocabulary import Role
from schema.publishing import published, publisher
from schema.root_fields import Info
from schema.scalars import TariffId
from schema.types.report import UploadReport
from schema.types.tariff_input import TariffInput
from schema.uploads import uploaded


@strawberry.type
class Billing:
    @strawberry.mutation(
        description="Adds or replaces tariffs of your own, each whole; the others stay. EVSPs are shown the individual "
        "tariff that names them, all other callers the default; only you see recipients. OCHP UpdateTariffs."
    )
    async def update_tariffs(
        self,
        info: Info,
        tariffs: Annotated[list[TariffInput], strawberry.argument(description="Tariffs, each checked on its own.")],
    ) -> UploadReport:
        owner = _operator(info)
        return await published(info, update_tariffs, await _tariffs(info), owner)

    @strawberry.mutation(description="Removes tariffs of your own. Connectors that name them show none.")
    async def remove_tariffs(
        self,
        info: Info,
        tariff_ids: Annotated[list[TariffId], strawberry.argument(description="Ids, in any spelling.")],
    ) -> UploadReport:
        return await published(info, remove_tariffs, uploaded(info, "tariffIds"), _operator(info))


def _operator(info: Info) -> Owner:
    """Return the acting operator. Raises: Unauthenticated, Forbidden."""
    return publisher(info, "tariffs are published by EVSE operators", Role.EVSE_OPERATOR)[1]


async def _tariffs(info: Info) -> list[Tariff | Refusal]:
    items: list[Tariff | Refusal] = []
    refused = 0
    async for index, raw in yielding(enumerate(uploaded(info, "tariffs"))):
        read = read_tariff(raw, index)
        if isinstance(read, Tariff):
            items.append(read)
        else:
            items += worth_keeping(read, refused)
            refused += len(read)
    return items

"""The mutation root: arguments -> a command of the exchange, or records for ingestion; then what is there is read."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import strawberry

from app.auth import Caller
from app.db.engine import Database
from app.exchange import contracts, keys, operators, partners
from app.exchange.actor import acting, id_of, not_found, require_administrator
from app.exchange.roles import Party, RoleName, name_role
from app.read.search import ById, Request
from app.vocabulary import Role
from schema.billing import Billing
from schema.cdrs import CdrExchange
from schema.charging import Charging
from schema.publishing import Publishing
from schema.root_fields import Info, answer_request
from schema.scalars import DateTime, PartyId
from schema.search_arguments import ONE_CONTRACT, ONE_KEY, ONE_OPERATOR, ONE_PARTNER
from schema.types.charge_point import Operator
from schema.types.inputs import PartyRef, RoleInput
from schema.types.partner import ApiKey, Contract, Partner

Id = Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
PartnerId = Annotated[strawberry.ID, strawberry.argument(description="Id of the partner.")]
TheRole = Annotated[RoleInput, strawberry.argument(description="One role of the partner.")]
ExpiresAt = Annotated[
    DateTime | None, strawberry.argument(description="When the key stops working; absent: in a year.")
]


@strawberry.type(description="A new key with its secret, which is shown this once.")
class IssuedApiKey:
    id: strawberry.Private[UUID]
    secret: str = strawberry.field(description="Send it as `Authorization: Bearer ...`; the hub keeps only a hash.")

    @strawberry.field(description="The key.")
    async def api_key(self, info: Info) -> ApiKey:
        return await answer_request(info, Request(ONE_KEY, {"id": self.id}))


@strawberry.type(
    description="What can be changed. Names are those of OCHP's operations. An uploaded list has at most 100,000 items."
)
class Mutation(Publishing, Charging, Billing, CdrExchange):
    # ---------------------------------------------------------------- contracts

    @strawberry.mutation(
        description="Proposes a contract; it is in force once the other side accepts. "
        "From the administrator it is in force at once."
    )
    async def propose_contract(
        self,
        info: Info,
        from_: Annotated[PartyRef, strawberry.argument(name="from", description="Your own side.")],
        with_: Annotated[PartyRef, strawberry.argument(name="with", description="The other side, named in full.")],
    ) -> Contract:
        context = info.context
        actor = acting(context.caller)
        id_ = await contracts.propose_contract(context.database, actor, _party(from_), _party(with_), context.now)
        return await _shown(info, ONE_CONTRACT, id_)

    @strawberry.mutation(description="Accepts a contract that the other side proposed: it is in force from now.")
    async def accept_contract(self, info: Info, contract_id: Id) -> Contract:
        return await _move_contract(info, contracts.accept_contract, contract_id)

    @strawberry.mutation(description="Declines a contract that the other side proposed.")
    async def decline_contract(self, info: Info, contract_id: Id) -> Contract:
        return await _move_contract(info, contracts.decline_contract, contract_id)

    @strawberry.mutation(description="Lets a contract rest: nothing is shown under it until it is resumed.")
    async def suspend_contract(self, info: Info, contract_id: Id) -> Contract:
        return await _move_contract(info, contracts.suspend_contract, contract_id)

    @strawberry.mutation(description="Puts a suspended contract in force again; for the side that suspended it.")
    async def resume_contract(self, info: Info, contract_id: Id) -> Contract:
        return await _move_contract(info, contracts.resume_contract, contract_id)

    @strawberry.mutation(description="Ends a contract for good.")
    async def end_contract(self, info: Info, contract_id: Id) -> Contract:
        return await _move_contract(info, contracts.end_contract, contract_id)

    # ---------------------------------------------------------------- administrator

    @strawberry.mutation(description="Registers a partner with its roles. For the administrator.")
    async def register_partner(
        self,
        info: Info,
        name: Annotated[str, strawberry.argument(description="Name, 1 to 200 characters.")],
        roles: Annotated[list[RoleInput], strawberry.argument(description="What it does; at least one.")],
    ) -> Partner:
        context = info.context
        named = [_role(role) for role in roles]
        id_ = await partners.register_partner(context.database, acting(context.caller), name, named, context.now)
        return await _shown(info, ONE_PARTNER, id_)

    @strawberry.mutation(description="Renames a partner. For the administrator.")
    async def update_partner(
        self,
        info: Info,
        partner_id: PartnerId,
        name: Annotated[str | None, strawberry.argument(description="New name; absent: as it is.")] = None,
    ) -> Partner:
        context = info.context
        actor = acting(context.caller)
        require_administrator(actor, "update partner")
        id_ = id_of("partner", partner_id)
        if name is not None:
            await partners.update_partner(context.database, actor, id_, name, context.now)
        shown = await _shown(info, ONE_PARTNER, id_)
        if shown is None:
            raise not_found("partner", id_)
        return shown

    @strawberry.mutation(
        description="Lets a partner rest: its keys stop working, its contracts show nothing. For the administrator."
    )
    async def suspend_partner(self, info: Info, partner_id: PartnerId) -> Partner:
        context = info.context
        id_ = id_of("partner", partner_id)
        await partners.suspend_partner(context.database, acting(context.caller), id_, context.now)
        context.keys.forget()
        return await _shown(info, ONE_PARTNER, id_)

    @strawberry.mutation(description="Lets a suspended partner work again. For the administrator.")
    async def resume_partner(self, info: Info, partner_id: PartnerId) -> Partner:
        context = info.context
        id_ = id_of("partner", partner_id)
        await partners.resume_partner(context.database, acting(context.caller), id_, context.now)
        return await _shown(info, ONE_PARTNER, id_)

    @strawberry.mutation(description="Grants a partner a role. For the administrator.")
    async def grant_role(self, info: Info, partner_id: PartnerId, role: TheRole) -> Partner:
        context = info.context
        id_ = id_of("partner", partner_id)
        await partners.grant_role(context.database, acting(context.caller), id_, _role(role), context.now)
        return await _shown(info, ONE_PARTNER, id_)

    @strawberry.mutation(description="Revokes a role: its contracts end, its keys are revoked. For the administrator.")
    async def revoke_role(self, info: Info, partner_id: PartnerId, role: TheRole) -> Partner:
        context = info.context
        id_ = id_of("partner", partner_id)
        await partners.revoke_role(context.database, acting(context.caller), id_, _role(role), context.now)
        context.keys.forget()
        return await _shown(info, ONE_PARTNER, id_)

    @strawberry.mutation(
        description="Shows an operator's charge points to everybody, or only under contracts. "
        "For the operator and the administrator."
    )
    async def set_operator_open(
        self,
        info: Info,
        operator_id: Annotated[PartyId, strawberry.argument(description="Party id of the operator.")],
        is_open: Annotated[bool, strawberry.argument(name="open", description="True: everybody may see them.")],
    ) -> Operator:
        context = info.context
        await operators.set_operator_open(context.database, acting(context.caller), operator_id, is_open, context.now)
        return await answer_request(info, Request(ONE_OPERATOR, {"party_id": operator_id}))

    @strawberry.mutation(description="Issues a key for a role; at most two live ones per role. For the administrator.")
    async def issue_api_key(
        self, info: Info, partner_id: PartnerId, role: TheRole, expires_at: ExpiresAt = None
    ) -> IssuedApiKey:
        context = info.context
        party = Party(id_of("partner", partner_id), _role(role))
        issued = await keys.issue_key(context.database, acting(context.caller), party, expires_at, context.now)
        return IssuedApiKey(id=issued.id, secret=issued.secret)

    @strawberry.mutation(
        description="Makes you a new key for your role. "
        "The one you call with stays good until you rotate with the new one."
    )
    async def rotate_api_key(self, info: Info, expires_at: ExpiresAt = None) -> IssuedApiKey:
        context = info.context
        issued = await keys.rotate_key(context.database, acting(context.caller), expires_at, context.now)
        context.keys.forget()
        return IssuedApiKey(id=issued.id, secret=issued.secret)

    @strawberry.mutation(description="Revokes a key for good. For the administrator.")
    async def revoke_api_key(self, info: Info, key_id: Id) -> ApiKey:
        context = info.context
        id_ = id_of("key", key_id)
        await keys.revoke_key(context.database, acting(context.caller), id_, context.now)
        context.keys.forget()
        return await _shown(info, ONE_KEY, id_)


async def _shown(info: Info, search: ById, id_: UUID) -> Any:
    shown = await answer_request(info, Request(search, {"id": id_}))
    if shown is None:
        raise not_found(search.table.name, id_)
    return shown


ContractCommand = Callable[[Database, Caller, UUID, datetime], Awaitable[UUID]]


async def _move_contract(info: Info, command: ContractCommand, contract_id: str) -> Any:
    context = info.context
    id_ = id_of("contract", contract_id)
    await command(context.database, acting(context.caller), id_, context.now)
    return await _shown(info, ONE_CONTRACT, id_)


def _role(role: RoleInput) -> RoleName:
    return name_role(Role(role.role), role.party_id or None)


def _party(ref: PartyRef) -> Party:
    return Party(id_of("partner", ref.partner_id), name_role(Role(ref.role), ref.party_id or None))

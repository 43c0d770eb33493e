"""Admission of a request: the caller behind its key, the budget that pays for it, and the body it may send."""

from dataclasses import dataclass

from starlette.types import Receive, Scope

from app.auth import Caller, Keys
from app.budget import Budgets, Payer
from app.db.lending import begin_work
from app.errors import Unauthenticated
from app.http.bodies import BodyMemory, Held, read_body
from app.http.negotiation import Headers, text_of
from app.settings import Settings
from app.vocabulary import Role

#: The roles that upload lists.
UPLOADING = frozenset({Role.EVSE_OPERATOR, Role.PSO, Role.EVSP})


# Made for every request and so not frozen: that would triple what making it takes.
@dataclass(slots=True)
class Admitted:
    """A request whose caller is known, that is paid for, and whose body was read.

    `held`: the memory of the body, to be released when it is not needed any more, decoded or not.
    """

    caller: Caller | None
    payer: Payer
    body: bytes
    held: Held


class Admission:
    """Verifies keys and charges budgets, for every endpoint and transport."""

    def __init__(self, keys: Keys, budgets: Budgets, settings: Settings) -> None:
        self.keys = keys
        self.budgets = budgets
        self.settings = settings
        self.memory = BodyMemory(settings.max_bodies_bytes, settings.max_body_bytes)

    async def admit(self, scope: Scope, headers: Headers, receive: Receive) -> Admitted:
        """Verify the key, charge one request, and read the body unless the method has none.

        Raises: Unauthenticated, RateLimited, Overloaded, TookTooLong, BadRequest.
        """
        address = address_of(scope)
        caller = None
        if b"authorization" in headers:
            caller = await self.verify(text_of(headers, b"authorization"), address)
        payer = self.charge(caller, address)
        held = Held(self.memory, payer.subject)
        if scope["method"] != "POST":
            return Admitted(caller, payer, b"", held)
        settings = self.settings
        maximum_bytes, hint = settings.max_anonymous_body_bytes, "more is possible with the key of a role that uploads"
        if caller is not None and caller.role in UPLOADING:
            maximum_bytes, hint = settings.max_body_bytes, "send it in parts"
        body = await read_body(headers, receive, maximum_bytes, settings.body_timeout_s, hint, held)
        return Admitted(caller, payer, body, held)

    async def verify(self, authorization: str | None, address: str) -> Caller | None:
        """Return the caller behind an Authorization header.

        An unknown key is charged to its address before it is looked up, and credited when it proves good.

        Raises: Unauthenticated, RateLimited, Overloaded, TookTooLong.
        """
        if authorization is None:
            return None
        anonymous = self.budgets.payer(None, address)
        unknown = self.keys.is_new(authorization)
        if unknown:
            self.budgets.charge_unknown_key(anonymous)
        begin_work(None, self.settings.read_timeout_s)  # no caller's share: partners may have one address
        try:
            caller = await self.keys.verify(authorization)
        except Unauthenticated:
            self.budgets.charge_request(anonymous)
            raise
        if unknown:
            self.budgets.credit_known_key(anonymous)
        return caller

    def charge(self, caller: Caller | None, address: str) -> Payer:
        """Charge one request. Return whose budget it was. Raises: RateLimited."""
        payer = self.budgets.payer(caller.key_id if caller else None, address)
        self.budgets.charge_request(payer)
        return payer


def address_of(scope: Scope) -> str:
    """Return the client's address; empty where the server does not know it."""
    client = scope.get("client")
    return client[0] if client else ""

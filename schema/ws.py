"""graphql-transport-ws: operations on a WebSocket.

Source: the protocol's text, PROTOCOL.md of the project graphql-ws. Its predecessor, whose subprotocol is called
`graphql-ws`, is not spoken.

One task reads messages, one writes those that are queued, and each operation begins in a task of its own, so that none
waits for another. When the socket closes all operations are cancelled, but for mutations that are being executed.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.types import Message, Receive, Scope, Send

from app import metrics
from app.auth import Caller
from app.budget import Bucket, Payer, RateLimited, Subject, network_of
from app.db.lending import Overloaded, TookTooLong
from app.errors import Unauthenticated
from app.http.admission import address_of
from app.http.open_streams import FORBIDDEN, OpenStreams
from app.http.origins import refusal
from app.http.refusals import TooManyOpen
from app.http.send_queue import SendQueue
from app.live.stream.sink import Subscription
from schema.endpoint import REFUSED, Accepted, Endpoint, Incoming, shown_errors
from schema.root_fields import encode
from schema.ws_messages import (
    ACK,
    BAD_PROTOCOL,
    INIT_TIMEOUT,
    NOT_UNIQUE,
    PONG,
    PROTOCOL,
    TOO_MANY,
    TRY_LATER,
    UNAUTHORIZED,
    Closing,
    Complete,
    Init,
    Ping,
    Pong,
    Subscribe,
    quoted,
    read_message,
    reason_of,
)

#: Queries and mutations of one socket that are executed at a time; others wait.
ANSWERED_AT_ONCE = 8

log = structlog.get_logger(__name__)


class SocketRoute:
    """/graphql for WebSockets. `may_open`: whether a handshake comes from where sockets may be opened."""

    def __init__(self, endpoint: Endpoint, streams: OpenStreams, may_open: Callable[[Scope], bool]) -> None:
        self.endpoint = endpoint
        self.streams = streams
        self.may_open = may_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # the handshake
        if not self.may_open(scope):
            await send({"type": "websocket.accept"})
            await _close(send, FORBIDDEN, refusal(_header(scope, b"origin") or ""))
            return
        if PROTOCOL not in scope["subprotocols"]:
            await send({"type": "websocket.accept"})
            await _close(send, BAD_PROTOCOL, f"this subprotocol is not possible; possible: {PROTOCOL}")
            return
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        socket = Socket(self.endpoint, self.streams, scope, send)
        try:
            self.streams.enter(socket, socket.subject)
        except TooManyOpen as error:
            await _close(send, TOO_MANY, error.message)
            return
        try:
            await socket.run(receive)
        finally:
            self.streams.leave(socket, socket.subject)


async def _close(send: Send, code: int, reason: str) -> None:
    metrics.CLOSED.labels(str(code)).inc()
    await send({"type": "websocket.close", "code": code, "reason": reason_of(reason)})


class Socket:
    """One WebSocket, from its handshake to its end."""

    __slots__ = (
        "_authorization", "_closing", "_init_timer", "_initialised", "_messages", "_send", "_turn",
        "address", "caller", "endpoint", "payer", "queue", "running", "streams", "subject",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, streams: OpenStreams, scope: Scope, send: Send) -> None:
        self.endpoint = endpoint
        self.streams = streams
        self.address = address_of(scope)
        self.subject: Subject = network_of(self.address)
        self.caller: Caller | None = None
        self.payer: Payer | None = None
        self.running: dict[str, Running] = {}
        self.queue = SendQueue(endpoint.settings.socket_buffer_bytes, self._flow)
        self._send = send
        self._authorization = _header(scope, b"authorization")
        self._initialised = False
        self._closing: Closing | None = None
        self._turn: asyncio.Semaphore | None = None
        self._messages = Bucket(endpoint.budgets.messages.burst, time.monotonic())
        loop = asyncio.get_running_loop()
        self._init_timer: asyncio.TimerHandle | None = loop.call_later(endpoint.settings.init_timeout_s, self._is_late)

    @property
    def secret_hash(self) -> bytes | None:
        return self.caller.secret_hash if self.caller else None

    def close(self, code: int, reason: str) -> None:
        """Close the socket; queued messages are dropped."""
        if self._closing is None:
            self._closing = Closing(code, reason)
            self._end_all()
            self.queue.close(now=True)

    async def run(self, receive: Receive) -> None:
        """Read and write until either side closes."""
        writing = asyncio.create_task(self._write())
        try:
            while (message := await receive())["type"] == "websocket.receive":
                if self._closing is None:
                    await self._receive(message)
        finally:
            self._stop_init_timer()
            self._closing = self._closing or Closing(1000, "")
            self._end_all()
            self.queue.close(now=True)
            writing.cancel()

    # ---------------------------------------------------------------- writing

    async def _write(self) -> None:
        try:
            await self.queue.run(self._write_one)
            if self._closing is not None:
                await _close(self._send, self._closing.code, self._closing.reason)
        except (OSError, RuntimeError):
            pass  # the client is gone, or the server has closed the socket: reading ends as well

    async def _write_one(self, text: str) -> None:
        await self._send({"type": "websocket.send", "text": text})

    def _flow(self, ready: bool) -> None:
        for each in list(self.running.values()):
            each.flow(ready)

    # ---------------------------------------------------------------- reading

    async def _receive(self, message: Message) -> None:
        try:
            self._count_message()
            match read_message(message.get("text")):
                case Init(authorization):
                    await self._initialise(authorization)
                case Ping():
                    self.queue.put(PONG)
                case Pong():
                    pass
                case Subscribe() as wanted:
                    self._begin(wanted)
                case Complete(id_):
                    self._stop(id_)
        except Closing as closing:
            self.close(closing.code, closing.reason)
        except Exception:
            log.exception("unforeseen error on a socket")
            self.close(TRY_LATER, "the hub failed; its log says why")

    def _count_message(self) -> None:
        rate = self.endpoint.budgets.messages
        if self._messages.take(rate, 1.0, time.monotonic()) > 0:
            raise Closing(TOO_MANY, f"too many messages; possible: {rate.per_s:g} per second")

    async def _initialise(self, authorization: str | None) -> None:
        if self._initialised:
            raise Closing(TOO_MANY, "too many initialisation requests")
        self._initialised = True
        self._stop_init_timer()
        try:
            given = self._authorization if authorization is None else authorization
            self.caller = await self.endpoint.admission.verify(given, self.address)
            payer = self.endpoint.admission.charge(self.caller, self.address)
            self._count_for(payer.subject)
        except Unauthenticated as error:
            raise Closing(FORBIDDEN, error.message) from None
        except (RateLimited, Overloaded, TookTooLong) as error:
            raise Closing(TRY_LATER, error.message) from None
        except TooManyOpen as error:
            raise Closing(TOO_MANY, error.message) from None
        self.payer = payer
        self.queue.put(ACK)

    def _count_for(self, subject: Subject) -> None:
        """Count this socket for the caller that opened it."""
        if subject != self.subject:
            self.streams.sockets.take(subject)
            self.streams.sockets.give_back(self.subject)
            self.subject = subject

    def _is_late(self) -> None:
        self._init_timer = None
        self.close(INIT_TIMEOUT, "connection initialisation timeout")

    def _stop_init_timer(self) -> None:
        if self._init_timer is not None:
            self._init_timer.cancel()
            self._init_timer = None

    # ---------------------------------------------------------------- operations

    def _begin(self, wanted: Subscribe) -> None:
        if self.payer is None:
            raise Closing(UNAUTHORIZED, "unauthorized: connection_init comes first")
        if wanted.id in self.running:
            raise Closing(NOT_UNIQUE, f"subscriber for {wanted.id} already exists")
        running = Running(self, wanted.id)
        allowed = self.endpoint.settings.max_subscriptions_per_socket
        if len(self.running) >= allowed:
            message = f"{allowed} operations run on this socket, as many as may"
            running.fail(_refusal(TooManyOpen(message, "end some first, or open another socket")))
            return
        self.running[wanted.id] = running
        running.task = asyncio.create_task(running.run(Incoming(self.caller, self.payer, wanted.request)))

    def _stop(self, id_: str) -> None:
        running = self.running.get(id_)
        if running is not None:
            running.end()
            self.queue.drop(running.beginning)

    def _end_all(self) -> None:
        for each in list(self.running.values()):
            each.end()

    def turn(self) -> asyncio.Semaphore:
        """Return the semaphore of the queries and mutations that are executed at a time."""
        self._turn = self._turn or asyncio.Semaphore(ANSWERED_AT_ONCE)
        return self._turn


class Running:
    """An operation on a socket, which is where a subscription's pages go."""

    __slots__ = ("_counted", "_finishes", "_next", "beginning", "id", "ready", "socket", "subscription", "task")

    def __init__(self, socket: Socket, id_: str) -> None:
        self.socket = socket
        self.id = id_
        self.beginning = f'{{"id":{quoted(id_)},'
        self._next = f'{self.beginning}"type":"next","payload":'
        self.ready = not socket.queue.full
        self.subscription: Subscription | None = None
        self.task: asyncio.Task[None] | None = None
        #: As how many subscriptions it counts.
        self._counted = 0
        self._finishes = False

    async def run(self, incoming: Incoming) -> None:
        """Execute the operation, or send why that is not possible."""
        endpoint, socket = self.socket.endpoint, self.socket
        try:
            endpoint.budgets.charge_request(incoming.payer)
            accepted = await endpoint.accept(incoming)
            if accepted.operation.is_subscription:
                await self._subscribe(accepted)
            else:
                async with socket.turn():
                    await socket.queue.room()
                    self._finishes = accepted.operation.is_mutation
                    await self._answer(accepted)
        except Exception as error:
            errors = _refusal(error)
            if self._is_open:
                self.fail(errors)
        finally:
            self.task = None

    async def _answer(self, accepted: Accepted) -> None:
        answer = await self.socket.endpoint.answer(accepted)
        metrics.REQUESTS.labels(answer.way).inc()
        if self._is_open:
            self.page(answer.body.decode())
            self.complete()

    @property
    def _is_open(self) -> bool:
        return self.socket.running.get(self.id) is self

    async def _subscribe(self, accepted: Accepted) -> None:
        socket = self.socket
        subject = accepted.incoming.payer.subject
        socket.streams.subscriptions.take(subject)
        self._counted = 1
        self.subscription = subscription = await socket.endpoint.subscribe(accepted, self)
        socket.streams.subscriptions.weigh(subject, subscription.weight - 1)
        self._counted = subscription.weight
        metrics.REQUESTS.labels("subscribed").inc()
        self.flow(not socket.queue.full)

    def flow(self, ready: bool) -> None:
        """Pause the subscription's pages, or resume them."""
        if not ready:
            self.ready = False
        elif not self.ready and self.subscription is not None:
            self.ready = True
            self.subscription.resume()

    # ---------------------------------------------------------------- the sink

    def page(self, result: str) -> None:
        self.socket.queue.put(f"{self._next}{result}}}")

    def fail(self, errors: list[dict[str, Any]]) -> None:
        self.socket.queue.put(f'{self.beginning}"type":"error","payload":{encode(errors).decode()}}}')
        self.end()

    def complete(self) -> None:
        self.socket.queue.put(f'{self.beginning}"type":"complete"}}')
        self.end()

    def end(self) -> None:
        """End the operation, and free its place; a mutation that is being executed continues without an answer."""
        socket = self.socket
        if self._is_open:
            del socket.running[self.id]
        if self._counted:
            counted, self._counted = self._counted, 0
            socket.streams.subscriptions.give_back(socket.subject, counted)
        subscription, self.subscription = self.subscription, None
        if subscription is not None:
            subscription.close()
        task = self.task
        if task is None or task is asyncio.current_task():
            return
        if self._finishes:
            socket.streams.finish(task)
        else:
            task.cancel()


def _refusal(error: Exception) -> list[dict[str, Any]]:
    """Count an operation that was not executed, and return its errors."""
    metrics.REQUESTS.labels(REFUSED).inc()
    return shown_errors(error)


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), None)

"""A client of a Crosstalk hub, on asyncio and the package websockets (10.4 or newer).

Each message comes once and in order, over any number of lost connections, for as long as the hub keeps it; where it does
not, a "gap" event says so. What is published is stored once, however often it had to be sent.

    async with connect("http://localhost:8787", channels="demo", instance_id="bob") as bus:
        async for message in bus:
            await bus.publish(message["channel"], "I read it", in_reply_to=message["id"])
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any, AsyncIterator, Callable, Coroutine, Deque, Dict, List, Optional, Set, TypedDict, Union
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import websockets
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException

__all__ = ["Bus", "BusError", "Message", "Receipt", "Status", "Subscribed", "connect"]

MAX_FRAME = 1 << 20  # bytes that the hub takes in one frame
PING = 20.0  # seconds between pings, and to wait for the answer
PATIENCE = 20.0  # seconds for a connection to begin, and of the shortest life that lets the next wait be short
FATAL = {1007: "invalid", 1009: "too_large", 4400: "invalid", 4401: "unauthenticated", 4403: "forbidden"}


class Message(TypedDict):
    id: int
    seq: int
    channel: str
    sender: str
    kind: str  # agent or human
    verified: bool
    content: str
    message_type: str  # message, request, response, status, handoff or done
    in_reply_to: Optional[int]
    reply_count: int
    created_at: str


class Receipt(TypedDict):
    message_id: int
    seq: int
    duplicate: bool


class Subscribed(TypedDict):
    channel: str
    last_id: int
    recovered: bool


class Status(TypedDict, total=False):
    state: str  # connecting, live, waiting or closed
    seconds: float  # waiting: until the next try
    code: int  # why the last connection ended: its close code, 1006 when there was none
    reason: str  # likewise, in words


class BusError(Exception):
    """What the hub refused. code is one of the hub's error codes, or "closed"."""

    def __init__(self, code: str, text: str, retry_after: float = 0) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after = retry_after  # seconds


@dataclass
class _Stream:
    """A cursor over some channels."""

    channels: Set[str]
    after: Optional[int]  # None: from now on
    exclude_self: bool = False
    active: bool = False  # subscribed to on the present connection


@dataclass
class _Command:
    """A command that the hub has not answered."""

    frame: Dict[str, Any]
    resend: bool  # on the next connection
    answer: "asyncio.Future[Dict[str, Any]]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class _Lost(Exception):
    """The connection has ended."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def connect(
    url: str,
    *,
    key: str = "",
    channels: Union[str, List[str]] = (),  # type: ignore[assignment]
    after_id: Optional[int] = None,
    bus_id: str = "",
    instance_id: str = "",
    presence: bool = False,
    min_delay: float = 0.5,
    max_delay: float = 20.0,
    max_queue: int = 10_000,
) -> Bus:
    """Connects to the hub at url, and stays connected until close(). Call it where an event loop runs.

    channels are names, or "*" for all. after_id is the last message you handled: what came after it comes first; without it
    messages come from now on. bus_id is the bus that after_id is from. instance_id is your name: the default sender, held
    while connected; your own messages are left out. presence tells who comes and goes. Delays are seconds between two
    connections. max_queue is how many messages may wait for a slow loop in memory; those behind them wait on the hub.
    """
    return Bus(url, key, channels, after_id, bus_id, instance_id, presence, min_delay, max_delay, max_queue)


class Bus:
    """A connection that heals itself. Iterate over it for messages."""

    def __init__(
        self,
        url: str,
        key: str,
        channels: Union[str, List[str]],
        after_id: Optional[int],
        bus_id: str,
        instance_id: str,
        presence: bool,
        min_delay: float,
        max_delay: float,
        max_queue: int,
    ) -> None:
        names = channels.split(",") if isinstance(channels, str) else channels
        self.bus_id = bus_id  # names the database; keep it beside the id of the last message you handled
        self.status: Status = {"state": "connecting"}
        self._url = _address(url, instance_id, presence)
        self._protocols = ["crosstalk.v1"]
        if key:
            self._protocols.append("bearer." + base64.urlsafe_b64encode(key.encode()).decode().rstrip("="))
        self._first = _Stream({name for name in map(_channel_name, names) if name}, after_id)
        self._later: List[_Stream] = []
        self._delays = min_delay, max_delay
        self._max_queue = max_queue
        self._pending: Dict[int, _Command] = {}
        self._last_command = 0
        self._queue: Deque[Message] = deque()
        self._behind = False  # messages are left on the hub until the queue is empty
        self._arrived = asyncio.Event()  # a message, or the end
        self._hurry = asyncio.Event()  # reconnect now
        self._listeners: Dict[str, List[Callable[[Any], None]]] = {}
        self._error: Optional[BusError] = None
        self._ws: Any = None
        self._tasks: Set["asyncio.Task[None]"] = set()
        self._spawn(self._live())

    def on(self, event: str, listener: Callable[[Any], None]) -> Callable[[], None]:
        """Calls listener at each event, and returns what ends that.

        status tells a Status, presence {instance_id, status}, subscribed and gap a Subscribed (gap: the hub no longer has
        some of what was missed), replaced {bus_id, before} (another database: all of it follows, from its first
        message), error a BusError: a subscription could not be renewed, and has ended.
        """
        self._listeners.setdefault(event, []).append(listener)
        return lambda: self._listeners[event].remove(listener)

    async def publish(
        self,
        channel: str,
        content: str,
        *,
        message_type: str = "message",
        in_reply_to: Optional[int] = None,
        sender: Optional[str] = None,
        idempotency_key: Optional[str] = None,
    ) -> Receipt:
        """Publishes, and returns once the message is on the hub's disk. Without a connection it waits for one."""
        frame: Dict[str, Any] = {"type": "publish", "channel": channel, "content": content, "message_type": message_type}
        frame["idempotency_key"] = idempotency_key or secrets.token_hex(16)
        if in_reply_to is not None:
            frame["in_reply_to"] = in_reply_to
        if sender is not None:
            frame["sender"] = sender
        answer = await self._ask(frame)
        return {"message_id": answer["message_id"], "seq": answer["seq"], "duplicate": answer["duplicate"]}

    async def subscribe(self, channel: str, *, after_id: Optional[int] = None, exclude_self: bool = False) -> Subscribed:
        """Listens to one more channel. exclude_self leaves your own messages out, which needs an instance_id."""
        return _pick(await self._ask({"type": "subscribe", "channel": channel, "after_id": after_id, "exclude_self": exclude_self}))

    async def unsubscribe(self, channel: str) -> None:
        await self._ask({"type": "unsubscribe", "channel": channel})

    def retry(self) -> None:
        """Reconnects now, if it is waiting to."""
        if self.status["state"] == "waiting":
            self._hurry.set()

    async def close(self) -> None:
        """Ends everything. What was published and not answered may or may not have been stored."""
        self._queue.clear()
        self._end(BusError("closed", "the connection was closed"), {"state": "closed"})
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aenter__(self) -> Bus:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> AsyncIterator[Message]:
        return self

    async def __anext__(self) -> Message:
        while not self._queue:
            if self._error:
                if self._error.code == "closed":
                    raise StopAsyncIteration
                raise self._error
            self._arrived.clear()
            await self._arrived.wait()
        message = self._queue.popleft()
        if self._behind and not self._queue:
            self._behind = False
            ws, self._ws = self._ws, None
            if ws is not None:  # come back for what was left on the hub
                self._hurry.set()
                self._spawn(ws.close())
        return message

    # The connection.

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except Exception as error:  # a mistake of ours: better told than waited for
                self._end(BusError("internal", repr(error)), {"state": "closed", "reason": repr(error)})
                raise

        task = asyncio.get_running_loop().create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _live(self) -> None:
        tries = 0
        while self._error is None:
            self._hurry.clear()
            begun = time.monotonic()
            code, reason = await self._converse()
            if self._error is not None:
                return
            if code in FATAL:
                self._end(BusError(FATAL[code], reason or f"closed with {code}"), {"state": "closed", "code": code, "reason": reason})
                return
            if self._hurry.is_set():
                continue
            if time.monotonic() - begun > PATIENCE:
                tries = 0
            told = re.search(r"([\d.]+) ?(ms|s)\b", reason) if code in (1012, 4429) else None
            if told:
                seconds = float(told[1]) / (1000 if told[2] == "ms" else 1)
            else:
                least, most = self._delays
                seconds = random.uniform(least, min(most, 2 * least * 2**tries))
                tries = min(tries + 1, 20)
            self._say({"state": "waiting", "seconds": seconds, "code": code, "reason": reason})
            try:
                await asyncio.wait_for(self._hurry.wait(), seconds)
            except asyncio.TimeoutError:
                pass

    async def _converse(self) -> "tuple[int, str]":
        """Goes through one connection, and returns how it ended."""
        query = {}
        if self._first.channels:
            query["channels"] = ",".join(sorted(self._first.channels))
            if self._first.after is not None:
                query["after_id"] = str(self._first.after)
        self._say({"state": "connecting"})
        try:
            # The library pings, and ends a connection that does not answer.
            async with websockets.connect(  # type: ignore[attr-defined]
                self._url + urlencode(query),
                subprotocols=self._protocols,
                compression=None,
                open_timeout=PATIENCE,
                ping_interval=PING,
                ping_timeout=PING,
                close_timeout=1,
                max_size=8 << 20,
            ) as ws:
                self._ws = ws
                first = json.loads(await asyncio.wait_for(ws.recv(), PATIENCE))
                await self._welcome(first)
                async for text in ws:
                    if self._ws is not ws:
                        break
                    await self._hear(json.loads(text))
                return 1006, "closed"
        except _Lost as lost:
            return lost.code, lost.reason
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "cut off")
        except InvalidURI as error:
            return 4400, str(error)
        except (ValueError, KeyError) as error:
            return 1006, f"what answers there is no hub: {error!r}"
        except (OSError, EOFError, asyncio.TimeoutError, TimeoutError, WebSocketException) as error:
            return 1006, str(error) or type(error).__name__
        finally:
            self._ws = None
            for stream in [self._first, *self._later]:
                stream.active = False
            for number in [n for n, command in self._pending.items() if not command.resend]:
                self._pending.pop(number).answer.cancel()

    def _end(self, error: BusError, status: Status) -> None:
        if self._error is not None:
            return
        self._error = error
        for command in self._pending.values():
            if not command.answer.done():
                command.answer.set_exception(error)
        self._pending.clear()
        self._arrived.set()
        self._say(status)

    def _say(self, status: Status) -> None:
        self.status = status
        self._emit("status", status)

    def _emit(self, event: str, detail: Any) -> None:
        for listener in list(self._listeners.get(event, ())):
            try:
                listener(detail)
            except Exception as error:  # a listener's mistake is not ours
                context = {"message": f"a listener of {event} failed", "exception": error}
                asyncio.get_running_loop().call_exception_handler(context)

    # What the hub says.

    async def _hear(self, frame: Dict[str, Any]) -> None:
        kind = frame.get("type")
        if kind == "message":
            self._deliver(frame["message"])
        elif kind == "position":
            for stream in [self._first, *self._later]:
                if stream.active and not self._behind:
                    stream.after = max(stream.after or 0, frame["last_id"])
        elif kind == "presence":
            self._emit("presence", {"instance_id": frame["instance_id"], "status": frame["status"]})
        elif kind == "error":
            self._refused(frame)
        else:
            if kind == "subscribed":
                self._subscribed(frame)
            elif kind == "unsubscribed":
                self._unsubscribed(frame["channel"])
            command = self._pending.pop(frame.get("id", 0), None)
            if command and not command.answer.done():
                command.answer.set_result(frame)

    async def _welcome(self, frame: Dict[str, Any]) -> None:
        if frame["type"] != "welcome":
            raise ValueError(frame["type"])
        before, self.bus_id = self.bus_id, frame["bus_id"]
        if before and before != self.bus_id:
            for stream in [self._first, *self._later]:
                if stream.after is not None:
                    stream.after = 0
            self._emit("replaced", {"bus_id": self.bus_id, "before": before})
            if self._first.after is not None:  # the hub was asked for what came after the old cursor
                self._hurry.set()
                raise _Lost(1006, "another bus")
        waiting = list(self._pending.values())
        for stream in self._later:
            (channel,) = stream.channels
            await self._send(self._renewal(stream, channel))
        for command in waiting:
            await self._send(command.frame)
        self._say({"state": "live"})
        for command in list(self._pending.values()):  # those that came while the others were sent
            if command.resend and command not in waiting:
                await self._send(command.frame)

    def _renewal(self, stream: _Stream, channel: str) -> Dict[str, Any]:
        frame = {"type": "subscribe", "channel": channel, "after_id": stream.after, "exclude_self": stream.exclude_self}
        command = self._command(frame, resend=False)

        def done(answer: "asyncio.Future[Dict[str, Any]]") -> None:
            error = None if answer.cancelled() else answer.exception()
            if isinstance(error, BusError) and error.code == "unavailable":
                if self._ws is not None:
                    self._spawn(self._ws.close())
            elif isinstance(error, BusError) and error.code != "closed":
                self._later.remove(stream)
                self._emit("error", error)

        command.answer.add_done_callback(done)
        return command.frame

    def _subscribed(self, frame: Dict[str, Any]) -> None:
        channel, asked = frame["channel"], self._pending.get(frame.get("id", 0))
        stream = self._first
        if asked:
            found = next((s for s in self._later if channel in s.channels), None)
            stream = found or _Stream({channel}, asked.frame.get("after_id"), asked.frame.get("exclude_self", False))
            if found is None:
                self._later.append(stream)
        stream.active = True
        if stream.after is None or stream.after > frame["last_id"]:
            stream.after = frame["last_id"]
        self._emit("subscribed", _pick(frame))
        if not frame["recovered"]:
            self._emit("gap", _pick(frame))

    def _unsubscribed(self, channel: str) -> None:
        self._first.channels.discard(channel)
        self._later = [s for s in self._later if channel not in s.channels]

    def _refused(self, frame: Dict[str, Any]) -> None:
        number = frame.get("id", 0)
        command = self._pending.get(number)
        if command is None:
            return
        if frame["code"] == "unavailable" and command.resend:
            self._spawn(self._again(number, self._ws, max(1, frame.get("retry_after", 0))))
            return
        del self._pending[number]
        if not command.answer.done():
            command.answer.set_exception(BusError(frame["code"], frame["error"], frame.get("retry_after", 0)))

    async def _again(self, number: int, ws: Any, seconds: float) -> None:
        await asyncio.sleep(seconds)
        if ws is self._ws and number in self._pending:  # a new connection has sent it anyway
            await self._send(self._pending[number].frame)

    def _deliver(self, message: Message) -> None:
        def over(channel: str) -> Optional[_Stream]:
            return next((s for s in self._later if channel in s.channels), None)

        stream = over(message["channel"]) or over("*") or self._first
        if self._behind or message["id"] <= (stream.after or 0):
            return
        if len(self._queue) >= self._max_queue:
            self._behind = True
            return
        stream.after = message["id"]
        self._queue.append(message)
        self._arrived.set()

    # What we say.

    def _command(self, frame: Dict[str, Any], resend: bool) -> _Command:
        if self._error:
            raise self._error
        self._last_command += 1
        command = _Command({**frame, "id": self._last_command}, resend)
        if len(json.dumps(command.frame)) > MAX_FRAME:
            raise BusError("too_large", "the message is larger than the hub takes: share it as data")
        self._pending[self._last_command] = command
        return command

    async def _ask(self, frame: Dict[str, Any]) -> Dict[str, Any]:
        command = self._command(frame, resend=True)
        try:
            if self.status["state"] == "live":
                await self._send(command.frame)
            return await command.answer
        finally:
            self._pending.pop(command.frame["id"], None)

    async def _send(self, frame: Dict[str, Any]) -> None:
        if self._ws is not None:
            try:
                await self._ws.send(json.dumps(frame))
            except ConnectionClosed:
                pass  # the reader is told too, and what is pending is sent again


def _address(url: str, instance_id: str, presence: bool) -> str:
    """Returns the URL of the hub's WebSocket, to which a query can be appended."""
    u = urlsplit(url)
    path = u.path if u.path.endswith("/ws") else u.path.rstrip("/") + "/ws"
    query = parse_qsl(u.query)
    if instance_id:
        query.append(("instance_id", instance_id))
    if presence:
        query.append(("presence", "1"))
    scheme = {"http": "ws", "https": "wss"}.get(u.scheme, u.scheme)
    return urlunsplit((scheme, u.netloc, path, urlencode(query), "")) + ("&" if query else "?")


def _channel_name(name: str) -> str:
    """Writes a name as the hub does."""
    if name.strip() == "*":
        return "*"
    return re.sub(r"[\s_-]+", "-", re.sub(r"[^a-z0-9\s_-]", "", name.lower())).strip("-")


def _pick(frame: Dict[str, Any]) -> Subscribed:
    return {"channel": frame["channel"], "last_id": frame["last_id"], "recovered": frame["recovered"]}

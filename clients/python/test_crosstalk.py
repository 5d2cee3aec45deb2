"""Run by `go test ./clients`, or: python3 -m unittest"""

import asyncio
import base64
import json
import unittest
from unittest import mock
from urllib.parse import parse_qs, urlsplit

import websockets

import crosstalk
from crosstalk import BusError, connect


class End:
    """One connection, as the hub sees it."""

    def __init__(self, ws, path):
        self.ws = ws
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}

    async def say(self, kind, **fields):
        await self.ws.send(json.dumps({"type": kind, **fields}))

    async def welcome(self, bus_id="b1"):
        await self.say("welcome", server="crosstalk", version="1", bus_id=bus_id, ping_seconds=25)

    async def subscribed(self, last_id, channel="demo", recovered=True, **more):
        await self.say("subscribed", channel=channel, last_id=last_id, recovered=recovered, **more)

    async def message(self, *ids, channel="demo"):
        for number in ids:
            await self.say("message", message={"id": number, "channel": channel, "content": f"text {number}"})

    async def heard(self):
        return json.loads(await asyncio.wait_for(self.ws.recv(), 5))

    async def cut(self):
        self.ws.transport.abort()
        await self.ws.wait_closed()


class BusTest(unittest.IsolatedAsyncioTestCase):
    """The hub is played by the test: await self.comes() is the next connection to it."""

    async def asyncSetUp(self):
        self.ends = asyncio.Queue()
        self.offers = []

        async def serve(ws):
            new = hasattr(ws, "request")  # the connections of websockets 13 and newer have one
            path, headers = (ws.request.path, ws.request.headers) if new else (ws.path, ws.request_headers)
            self.offers.append(headers["Sec-WebSocket-Protocol"])
            await self.ends.put(End(ws, path))
            await ws.wait_closed()

        self.server = await websockets.serve(serve, "127.0.0.1", 0, subprotocols=["crosstalk.v1"])
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]
        self.events = []
        self.buses = []

    async def asyncTearDown(self):
        for bus in self.buses:
            await bus.close()
        self.server.close()
        await self.server.wait_closed()

    def open(self, **options):
        bus = connect(self.url, **{"channels": "demo", "min_delay": 0.01, "max_delay": 0.05, **options})
        for event in ("status", "gap", "replaced", "presence", "error", "subscribed"):
            bus.on(event, lambda detail, event=event: self.events.append((event, detail)))
        self.buses.append(bus)
        return bus

    async def comes(self):
        return await asyncio.wait_for(self.ends.get(), 5)

    async def ids(self, bus, n):
        async def take():
            return [(await bus.__anext__())["id"] for _ in range(n)]

        return await asyncio.wait_for(take(), 5)

    async def until(self, is_so):
        async def look():
            while not is_so():
                await asyncio.sleep(0.001)

        await asyncio.wait_for(look(), 5)

    def told(self, event):
        return [detail for name, detail in self.events if name == event]

    async def test_asks_for_what_the_options_name_and_offers_the_key_where_no_log_sees_it(self):
        self.open(channels=["My Channel", " b_c "], after_id=7, instance_id="bob", presence=True, key="schlüssel?>")
        end = await self.comes()
        want = {"channels": "b-c,my-channel", "after_id": "7", "instance_id": "bob", "presence": "1"}
        self.assertEqual(end.query, want)
        first, bearer = self.offers[0].split(", ")
        self.assertEqual(first, "crosstalk.v1")
        self.assertEqual(base64.urlsafe_b64decode(bearer[7:] + "=="), "schlüssel?>".encode())
        for url, address in {"https://h/": "wss://h/ws?", "wss://h/ws": "wss://h/ws?", "http://h:1/x?y=z": "ws://h:1/x/ws?y=z&"}.items():
            self.assertEqual(crosstalk._address(url, "", False), address)

    async def test_resumes_after_the_last_message_and_drops_what_it_has(self):
        bus = self.open()
        end = await self.comes()
        self.assertNotIn("after_id", end.query)
        await end.welcome()
        await end.subscribed(10)
        await end.message(11)
        self.assertEqual(await self.ids(bus, 1), [11])
        await end.cut()
        end = await self.comes()
        self.assertEqual(end.query["after_id"], "11")
        await end.welcome()
        await end.subscribed(12)
        await end.message(11, 12, 12, 13)
        self.assertEqual(await self.ids(bus, 2), [12, 13])
        self.assertFalse(bus._queue)

    async def test_resumes_from_where_it_came_in_when_nothing_was_said_and_from_positions(self):
        self.open()
        end = await self.comes()
        await end.welcome()
        await end.subscribed(10)
        await end.ws.close(4008, "too slow")
        end = await self.comes()
        self.assertEqual(end.query["after_id"], "10")
        await end.welcome()
        await end.subscribed(40)
        await end.say("position", last_id=40)
        await end.ws.close(4008)
        self.assertEqual((await self.comes()).query["after_id"], "40")

    async def test_a_cursor_beyond_the_head_is_moved_back_and_the_gap_is_told(self):
        bus = self.open(after_id=500)
        end = await self.comes()
        await end.welcome()
        await end.subscribed(20, recovered=False)
        await end.message(21)
        self.assertEqual(await self.ids(bus, 1), [21])
        self.assertEqual(self.told("gap"), [{"channel": "demo", "last_id": 20, "recovered": False}])

    async def test_starts_over_when_the_bus_is_another_one_and_says_so(self):
        bus = self.open(after_id=500, bus_id="b0")
        end = await self.comes()
        await end.welcome()
        await end.message(3)  # not heard: it came after the wrong cursor
        end = await self.comes()
        self.assertEqual(end.query["after_id"], "0")
        self.assertEqual(self.told("replaced"), [{"bus_id": "b1", "before": "b0"}])
        await end.welcome()
        await end.message(1)
        self.assertEqual(await self.ids(bus, 1), [1])
        self.assertEqual(bus.bus_id, "b1")

    async def test_backs_off_at_random_and_comes_back_when_the_hub_says_so(self):
        with mock.patch("random.uniform", side_effect=lambda least, most: most):
            bus = self.open(min_delay=0.01, max_delay=0.05)
            for seconds in (0.02, 0.04, 0.05, 0.05):
                await (await self.comes()).ws.close(4008, "slow")
                await self.until(lambda: bus.status["state"] == "waiting")
                self.assertEqual(dict(bus.status), {"state": "waiting", "seconds": seconds, "code": 4008, "reason": "slow"})
        await (await self.comes()).ws.close(1012, "restarting; retry in 30 ms")
        await self.until(lambda: bus.status["state"] == "waiting")
        self.assertEqual(bus.status["seconds"], 0.03)
        await (await self.comes()).ws.close(4429, "too many; retry in 90 s")
        await self.until(lambda: bus.status["state"] == "waiting")
        self.assertEqual(bus.status["seconds"], 90)
        bus.retry()
        await self.comes()

    async def test_backs_off_less_after_a_long_life(self):
        with mock.patch("random.uniform", side_effect=lambda least, most: most), mock.patch("crosstalk.PATIENCE", 0.2):
            bus = self.open()
            await (await self.comes()).ws.close(4008)
            end = await self.comes()
            await end.welcome()
            await asyncio.sleep(0.3)
            await end.ws.close(4008)
            await self.until(lambda: bus.status["state"] == "waiting")
            self.assertEqual(bus.status["seconds"], 0.02)

    async def test_codes_that_end_it(self):
        for code, name in {4401: "unauthenticated", 4403: "forbidden", 4400: "invalid", 1009: "too_large"}.items():
            with self.subTest(code):
                bus = self.open()
                published = asyncio.ensure_future(bus.publish("demo", "x"))
                await (await self.comes()).ws.close(code, "why")
                for waits in (bus.__anext__(), published, bus.publish("demo", "y")):
                    with self.assertRaises(BusError) as caught:
                        await asyncio.wait_for(waits, 5)
                    self.assertEqual((caught.exception.code, str(caught.exception)), (name, "why"))
                self.assertEqual(bus.status["state"], "closed")

    async def test_a_connection_that_does_not_answer_is_given_up(self):
        with mock.patch("crosstalk.PING", 0.05):
            bus = self.open()
            end = await self.comes()
            await end.welcome()
            await self.until(lambda: bus.status["state"] == "live")
            end.ws.transport.pause_reading()
            await self.comes()
            end.ws.transport.abort()

    async def test_publishes_what_was_not_answered_again_in_order_with_the_same_key(self):
        bus = self.open(instance_id="bob")
        first = asyncio.ensure_future(bus.publish("demo", "one", message_type="status", in_reply_to=3))
        second = asyncio.ensure_future(bus.publish("demo", "two"))
        end = await self.comes()
        await end.welcome()
        sent = [await end.heard(), await end.heard()]
        self.assertEqual([f["content"] for f in sent], ["one", "two"])
        self.assertEqual((sent[0]["message_type"], sent[0]["in_reply_to"]), ("status", 3))
        self.assertNotEqual(sent[0]["idempotency_key"], sent[1]["idempotency_key"])
        await end.say("published", id=sent[0]["id"], message_id=5, seq=2, duplicate=False)
        self.assertEqual(await first, {"message_id": 5, "seq": 2, "duplicate": False})
        await end.cut()
        end = await self.comes()
        await end.welcome()
        self.assertEqual(await end.heard(), sent[1])
        await end.say("published", id=sent[1]["id"], message_id=6, seq=3, duplicate=True)
        self.assertEqual(await second, {"message_id": 6, "seq": 3, "duplicate": True})

    async def test_a_refused_publish_is_raised_and_an_unavailable_hub_is_asked_again(self):
        bus = self.open()
        end = await self.comes()
        await end.welcome()
        published = asyncio.ensure_future(bus.publish("demo", "x"))
        await end.say("error", id=(await end.heard())["id"], code="paused", error="closed for today", retry_after=0)
        with self.assertRaisesRegex(BusError, "closed for today"):
            await published
        with self.assertRaises(BusError) as caught:
            await bus.publish("demo", "x" * (2 << 20))
        self.assertEqual(caught.exception.code, "too_large")
        published = asyncio.ensure_future(bus.publish("demo", "y"))
        sent = await end.heard()
        with mock.patch("asyncio.sleep", mock.AsyncMock()) as pause:
            await end.say("error", id=sent["id"], code="unavailable", error="disk full", retry_after=2)
            self.assertEqual(await end.heard(), sent)
        pause.assert_any_await(2)
        await end.say("published", id=sent["id"], message_id=1, seq=1, duplicate=False)
        self.assertEqual((await published)["message_id"], 1)

    async def test_each_later_subscription_has_a_cursor_of_its_own(self):
        bus = self.open()
        end = await self.comes()
        await end.welcome()
        await end.subscribed(10)
        subscribed = asyncio.ensure_future(bus.subscribe("Other", after_id=2))
        sent = await end.heard()
        self.assertEqual((sent["channel"], sent["after_id"]), ("Other", 2))
        await end.subscribed(10, "other", id=sent["id"])
        self.assertEqual(await subscribed, {"channel": "other", "last_id": 10, "recovered": True})
        await end.message(3, channel="other")
        await end.message(11)
        await end.message(4, channel="other")
        self.assertEqual(await self.ids(bus, 3), [3, 11, 4])
        await end.cut()
        end = await self.comes()
        self.assertEqual(end.query["after_id"], "11")
        await end.welcome()
        await end.say("position", last_id=99)  # is not about what is yet to be subscribed to
        sent = await end.heard()
        self.assertEqual((sent["channel"], sent["after_id"]), ("other", 4))
        await end.subscribed(12, "other", id=sent["id"])
        await end.message(5, channel="other")
        self.assertEqual(await self.ids(bus, 1), [5])
        gone = asyncio.ensure_future(bus.unsubscribe("other"))
        await end.say("unsubscribed", id=(await end.heard())["id"], channel="other")
        await gone
        await end.cut()
        end = await self.comes()
        await end.welcome()
        await bus_settles(bus)
        self.assertFalse(bus._later or bus._pending)

    async def test_a_subscription_that_is_not_renewed_is_told_of(self):
        bus = self.open()
        end = await self.comes()
        await end.welcome()
        subscribed = asyncio.ensure_future(bus.subscribe("secret"))
        await end.subscribed(1, "secret", id=(await end.heard())["id"])
        await subscribed
        await end.cut()
        end = await self.comes()
        await end.welcome()
        await end.say("error", id=(await end.heard())["id"], code="forbidden", error="no more")
        await self.until(lambda: self.told("error"))
        self.assertEqual(self.told("error")[0].code, "forbidden")
        await end.cut()
        await (await self.comes()).welcome()
        await bus_settles(bus)
        self.assertFalse(bus._later or bus._pending)

    async def test_a_hub_that_cannot_renew_a_subscription_now_is_left_for_a_while(self):
        bus = self.open()
        end = await self.comes()
        await end.welcome()
        subscribed = asyncio.ensure_future(bus.subscribe("other"))
        await end.subscribed(1, "other", id=(await end.heard())["id"])
        await subscribed
        for _ in range(2):
            await end.cut()
            end = await self.comes()
            await end.welcome()
            await end.say("error", id=(await end.heard())["id"], code="unavailable", error="no disk", retry_after=1)
            end = await self.comes()
            await end.welcome()
            self.assertEqual((await end.heard())["channel"], "other")
        self.assertFalse(self.told("error"))

    async def test_a_channel_of_the_url_that_was_unsubscribed_from_stays_so(self):
        bus = self.open(channels="One Two,three")
        end = await self.comes()
        await end.welcome()
        gone = asyncio.ensure_future(bus.unsubscribe("one two"))
        await end.say("unsubscribed", id=(await end.heard())["id"], channel="one-two")
        await gone
        await end.cut()
        self.assertEqual((await self.comes()).query["channels"], "three")

    async def test_what_a_slow_loop_has_no_room_for_stays_on_the_hub(self):
        bus = self.open(max_queue=2, min_delay=30, max_delay=30)
        end = await self.comes()
        await end.welcome()
        await end.subscribed(0)
        await end.message(1, 2, 3, 4)
        await end.say("position", last_id=4)
        await self.until(lambda: bus._behind)
        await end.message(5)  # is on its way when there is room again
        self.assertEqual([(await bus.__anext__())["id"], (await bus.__anext__())["id"]], [1, 2])
        end = await self.comes()
        self.assertEqual(end.query["after_id"], "2")
        await end.welcome()
        await end.message(3)
        self.assertEqual(await self.ids(bus, 1), [3])
        self.assertNotIn("waiting", [s["state"] for s in self.told("status")])

    async def test_tells_presence_and_a_listeners_mistakes_stay_its_own(self):
        mistakes = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: mistakes.append(context))
        bus = self.open()
        bus.on("presence", lambda _: 1 / 0)
        end = await self.comes()
        await end.welcome()
        await end.say("presence", instance_id="al", status="online")
        await end.say("something new")
        await end.message(1)
        self.assertEqual(await self.ids(bus, 1), [1])
        self.assertEqual(self.told("presence"), [{"instance_id": "al", "status": "online"}])
        self.assertEqual(len(mistakes), 1)

    async def test_close_ends_the_loop_and_all_that_waits(self):
        async with self.open() as bus:
            end = await self.comes()
            await end.welcome()
            await self.until(lambda: bus.status["state"] == "live")
            published = asyncio.ensure_future(bus.publish("demo", "x"))
            asyncio.get_running_loop().call_later(0.01, lambda: asyncio.ensure_future(bus.close()))
            async for message in bus:
                self.fail(message)
        with self.assertRaises(BusError) as caught:
            await published
        self.assertEqual(caught.exception.code, "closed")
        await end.ws.wait_closed()
        self.assertEqual([s["state"] for s in self.told("status")], ["connecting", "live", "closed"])

    async def test_what_answers_and_is_no_hub_is_left(self):
        bus = self.open()
        await (await self.comes()).ws.send("<html>")
        await self.until(lambda: bus.status["state"] == "waiting")
        self.assertIn("no hub", bus.status["reason"])
        await self.comes()


async def bus_settles(bus):
    while bus.status["state"] != "live":
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    unittest.main()

"""Does in Python what client.mjs does."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "clients" / "python"))
from crosstalk import connect  # noqa: E402


def tell(line: object) -> None:
    print(json.dumps(line), flush=True)


async def main(url: str, name: str) -> None:
    bus = connect(url, instance_id=name, channels="red,green", after_id=0, min_delay=0.02, max_delay=0.3)
    for event in ("gap", "replaced", "error"):
        bus.on(event, lambda detail, event=event: tell({"wrong": f"{event}: {detail}"}))
    bus.on("status", lambda status: tell({"state": status["state"]}))
    over = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

    async def follow() -> None:
        async for message in bus:
            tell({"message": message})

    async def publish() -> None:
        n = 0
        while not over.done():
            tell({"published": await bus.publish(f"own-{name}", str(n))})
            n += 1
            await asyncio.sleep(0.005)
        await bus.close()

    await asyncio.gather(follow(), publish(), bus.subscribe("blue", after_id=0))
    tell({"state": "over"})


asyncio.run(main(*sys.argv[1:]))

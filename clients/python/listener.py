"""Prints what is said on some channels, answers requests that name it, and goes on where it stopped when started again.

    python3 listener.py demo other     CROSSTALK_URL, CROSSTALK_KEY and CROSSTALK_NAME say where and who
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from crosstalk import connect

NAME = os.environ.get("CROSSTALK_NAME", "listener-py")
POSITION = Path(f"{NAME}.position.json")


async def main() -> None:
    stored = json.loads(POSITION.read_text()) if POSITION.exists() else {}  # {bus_id, after_id}
    url, key = os.environ.get("CROSSTALK_URL", "http://localhost:8787"), os.environ.get("CROSSTALK_KEY", "")
    async with connect(url, key=key, channels=sys.argv[1:] or "*", instance_id=NAME, **stored) as bus:
        bus.on("status", lambda status: print(*status.values(), file=sys.stderr))
        bus.on("gap", lambda gap: print("the hub no longer has all that was missed in", gap["channel"], file=sys.stderr))
        bus.on("replaced", lambda _: print("the hub has another database: starting over", file=sys.stderr))
        async for m in bus:
            print(f"#{m['channel']} {m['sender']}: {m['content']}", flush=True)
            if m["message_type"] == "request" and NAME in m["content"]:
                text, key = f"{m['sender']}, I am here.", f"answer-{m['id']}"  # after a crash it is not given twice
                await bus.publish(m["channel"], text, message_type="response", in_reply_to=m["id"], idempotency_key=key)
            new = POSITION.with_suffix(".new")
            new.write_text(json.dumps({"bus_id": bus.bus_id, "after_id": m["id"]}))
            new.replace(POSITION)  # whole or not at all


try:
    asyncio.run(main())
except KeyboardInterrupt:
    pass

"""What the client programs have in common: each reads one request from its standard input, does the one thing that is asked for with
its client, and prints what it saw as lines of JSON. The tests that run them say what is to be seen."""

import json
import os
import sys
import threading
import time

# No request takes nearly as long; a program that hangs ends with an error.
DEADLINE_SECONDS = 120

_printing = threading.Lock()


def show(fact):
    """Writes one line of JSON."""
    with _printing:
        print(json.dumps(fact), flush=True)


def assigned(partitions):
    """Says which partitions a member of a group has now."""
    show({"assigned": sorted(partitions)})


def text(raw):
    """A key or value as it came: None is null."""
    return None if raw is None else raw.decode()


def raw(words):
    """The opposite of `text`."""
    return None if words is None else words.encode()


def record(partition, offset, timestamp_ms, key, value, headers):
    """One record as it was consumed."""
    return {
        "partition": partition,
        "offset": offset,
        "timestampMs": timestamp_ms,
        "key": text(key),
        "value": text(value),
        "headers": [[name, text(content)] for name, content in headers or ()],
    }


class Steps:
    """What an administrator does one after another, by name: what was answered, or the code with which it was refused."""

    def __init__(self, asked, code_of):
        # A broker may answer before what was changed is to be seen.
        self._settle_seconds = asked.get("settleMs", 0) / 1000
        self._code_of = code_of
        self.seen = {}

    def do(self, name, step):
        """A step that answers nothing is answered by its success, which is 0; it has changed something."""
        try:
            answer = step()
            self.seen[name] = 0 if answer is None else answer
            if answer is None:
                time.sleep(self._settle_seconds)
        except Exception as error:
            self.seen[name] = self._code_of(error)

    async def wait(self, name, step):
        """As `do`, for a step that is waited for."""
        try:
            answer = await step
            self.do(name, lambda: answer)
        except Exception as error:
            self.seen[name] = self._code_of(error)


def on_leave(then):
    """Calls `then` when the test closes the program's standard input, by which it asks a member to leave its group."""

    def wait():
        sys.stdin.read()
        then()

    threading.Thread(target=wait, daemon=True).start()


def deadline():
    """Ends the program when its time is over, whatever its client waits for."""

    def end():
        print(f"not done after {DEADLINE_SECONDS} s", file=sys.stderr, flush=True)
        # Not by an exception: that would wait for the threads of the client.
        os._exit(1)

    timer = threading.Timer(DEADLINE_SECONDS, end)
    timer.daemon = True
    timer.start()


def main(scenarios):
    """Runs the scenario that the request names."""
    deadline()
    asked = json.loads(sys.stdin.readline())
    show(scenarios[asked["scenario"]](asked))

"""Run an asynchronous function again and again in processes of its own, without importing everything each time.

Each line of input is one run: its arguments as JSON. The answer is the new process's number; it waits for another
line, so that a tracer can take hold of it first. When it has ended, its exit status follows what it printed.
"""

import json
import os
import sys

import anyio


def serve(main):
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(main, json.loads(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print("ended", os.waitstatus_to_exitcode(status), flush=True)


def run(main, arguments):
    os.read(sys.stdin.fileno(), 1)
    anyio.run(main, *arguments)
    os._exit(0)

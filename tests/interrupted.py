"""Run programs and send them real interrupts at random moments, until they end."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# A program may be started with SIGINT ignored, by a shell in the background for example: it sets the handler itself.
# It says when it can be interrupted; the next interrupt comes only after that.
# Python ignores an interrupt that arrives in a callback of the garbage collector or in __del__, and says so: work()
# then ends as usual, and no other interrupt would come.
PREAMBLE = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
ignored = []

def unraisable(report):
    if report.exc_type is KeyboardInterrupt:
        ignored.append(True)
    else:
        sys.__unraisablehook__(report)

sys.unraisablehook = unraisable

def work_until_ignored(work):
    os.write(1, b".")
    while not ignored:
        work()

def interrupted(times, work, check):
    # Call work() again and again; check() after each of the interrupts.
    for _ in range(times):
        ignored.clear()
        try:    # CPython 3.13 does not catch what interrupts the end of a loop that stands here itself
            work_until_ignored(work)
        except KeyboardInterrupt:
            pass
        check()
"""


def interrupt(program, longest, seed=0, limit=120, **environment):
    """Run a program that calls `interrupted`; send it an interrupt at most `longest` seconds after each dot.

    Returns its exit status, as a negative number the signal that killed it, and what it wrote besides dots.
    """
    moments = random.Random(seed)
    child = subprocess.Popen([sys.executable, "-c", PREAMBLE + program], cwd=ROOT, env={**os.environ, **environment},
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    watch = threading.Timer(limit, child.kill)      # a program that hangs
    watch.start()
    written = b""
    try:
        while letter := child.stdout.read(1):
            if letter == b".":
                time.sleep(moments.uniform(0, longest))
                child.send_signal(signal.SIGINT)
            else:
                written += letter
        errors = child.stderr.read()
        return child.wait(), (written + errors).decode()
    finally:
        watch.cancel()
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()

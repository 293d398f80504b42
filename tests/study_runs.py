"""The functions of the runs in test_study.py, in a module that other processes can import; and a study to be killed.

    python -m tests.study_runs FOLDER EXECUTOR NUMBER SECONDS       NUMBER runs, each but the first of SECONDS
"""

import os
import signal
import sys
import time
from pathlib import Path

from minigrad import study


class Unpicklable(Exception):
    def __init__(self, one, other):
        super().__init__(one)


def square(x):
    return {"square": x * x}


def noted(x, calls, seconds=0.0):
    """x², after a note that this run began, and in which process."""
    Path(calls).mkdir(parents=True, exist_ok=True)
    with open(Path(calls, str(x)), "a", encoding="utf-8") as file:
        print(os.getpid(), file=file)
    time.sleep(seconds)
    return x * x


def begun(calls):
    """From x to the processes in which its runs began, in their order."""
    return {int(path.name): [int(line) for line in path.read_text(encoding="utf-8").split()]
            for path in Path(calls).glob("*")}


def fails(how):
    if how == "with a message":
        raise ValueError("this run is wrong")
    if how == "as it cannot be sent":
        raise Unpicklable("this run", "is wrong")
    if how == "by leaving":
        sys.exit("this run is wrong")
    return {"this run is wrong"} if how == "with a result that JSON cannot hold" else how


def dies(x, calls, times):
    """x², but its worker is killed the first `times` that it is called."""
    noted(x, calls)
    if len(begun(calls)[x]) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def drawn(count):
    """The first draws of the default generator, which nobody here seeds."""
    from minigrad import random

    return random.current().uniform((count,)).tolist()


def arithmetic():
    import numpy as np
    from threadpoolctl import threadpool_info

    import minigrad as mg

    np.ones(2) @ np.ones(2)
    return {"blas": [pool["num_threads"] for pool in threadpool_info()], "minigrad": mg.get_num_threads()}


if __name__ == "__main__":
    folder, executor, number, seconds = sys.argv[1:]
    runs = {f"run {x}": {"x": x, "calls": f"{folder}/calls", "seconds": float(seconds) if x else 0.0}
            for x in range(int(number))}
    print(study.run(noted, runs, folder, executor=executor, jobs=2 if executor == "local" else None))

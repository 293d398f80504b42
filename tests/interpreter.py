"""Run programs in a new Python process."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def python(*arguments, folder=ROOT, **environment):
    """The completed process of Python with these arguments; an environment variable that is None is taken out."""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **environment}
    variables = {name: x for name, x in {**os.environ, **environment}.items() if x is not None}
    encoding = environment["PYTHONIOENCODING"] or "utf-8"
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=folder, env=variables, capture_output=True,
                          encoding=encoding, timeout=300)


def printed(*arguments, **options):
    process = python(*arguments, **options)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()

"""Lessons, longer demos and benchmarks: programs, whose output suits every terminal."""

from minigrad import output

output.adapt()

"""Lessons, longer demos and benchmarks.  Each prints only characters that the terminal can show."""

from minigrad import output

output.adapt()

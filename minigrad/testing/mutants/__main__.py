import sys

from minigrad.testing.mutants.table import run

if __name__ == "__main__":
    sys.exit(run())

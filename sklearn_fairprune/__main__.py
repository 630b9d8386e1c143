"""Command line: ``python -m sklearn_fairprune audit --data mortgage``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())

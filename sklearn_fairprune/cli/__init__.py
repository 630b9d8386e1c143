"""The command line: which options there are, what they do, and how it ends."""

import sys
import traceback
from collections.abc import Sequence

from .audit import audit_command
from .compare import compare_command
from .parser import make_parser

__all__ = ["main"]

COMMANDS = {"audit": audit_command, "compare": compare_command}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = make_parser().parse_args(argv)
    try:
        return COMMANDS[arguments.command](arguments)
    except (ValueError, ImportError, OSError) as error:
        print(f"sklearn-fairprune: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("sklearn-fairprune: interrupted.", file=sys.stderr)
        return 130
    except Exception:  # a crash is no verdict: 1 says that a limit is not kept
        traceback.print_exc()
        print("sklearn-fairprune: this is a fault of the program.", file=sys.stderr)
        return 2

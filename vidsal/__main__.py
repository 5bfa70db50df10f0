"""The program: ``vidsal``, and ``python -m vidsal``."""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process; Ctrl-C while it is imported prints no traceback."""
    try:
        from vidsal.cli import main as run_command_line
    except KeyboardInterrupt:
        print("vidsal: interrupted", file=sys.stderr)
        sys.exit(130)
    run_command_line()


if __name__ == "__main__":
    main()

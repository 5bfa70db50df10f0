"""The program: ``vidsal``, and ``python -m vidsal``."""

import sys

# Not from typing, whose import may be interrupted. Type checkers know the name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run the command line of this process; Ctrl-C at start-up is silent, with exit code 130."""
    try:
        from vidsal.cli import main as run_command_line

        run_command_line()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()

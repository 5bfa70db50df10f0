"""``python -m vidsal``."""

from vidsal.cli import main

main()

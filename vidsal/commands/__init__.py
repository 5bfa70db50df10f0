"""The commands of ``vidsal``, a module for each kind; importing them adds them to `app`."""

from vidsal.commands import about, batch, live, measuring, run, stores
from vidsal.commands.program import app

__all__ = ["about", "app", "batch", "live", "measuring", "run", "stores"]

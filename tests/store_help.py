"""Small stores for tests."""

from pathlib import Path
from typing import Any

import vidsal
from vidsal.settings import Settings


def kept_run(source: Any, **options: Any) -> Path:
    """Analyse a source quickly, keep the analysis as s.vidsal, and return the source."""
    given: dict[str, Any] = {
        "model": "lite0", "working_width": 96, "short_side": 64, "batch": 4,
        "keep": Path("s.vidsal"), "output": Path("o.mkv"), "codec": "ffv1",
    }  # fmt: skip
    vidsal.run(source, Settings(**given | options), progress=False)
    return Path(source)

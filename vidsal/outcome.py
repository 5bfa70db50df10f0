"""What became of a source."""

import dataclasses
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one source.

    Attributes
    ----------
    source : str
    output : Path or None
        What was written; ``None`` if it failed.
    error : str or None
        Why it failed, in one line.
    frames : int
        How many were analysed.
    damaged : int
        How many could not be decoded, or are known to be incomplete.
    is_cut_off : bool
        Whether the source ends before it should.
    decoder, model : str
        What decoded it, what its network was called.
    height_px, width_px : int
        Of the source, upright.
    fps : Fraction or None
        Of what was written.
    seconds : float
        How long it took.
    """

    source: str
    output: Path | None = None
    error: str | None = None
    frames: int = 0
    damaged: int = 0
    is_cut_off: bool = False
    decoder: str = ""
    model: str = ""
    height_px: int = 0
    width_px: int = 0
    fps: Fraction | None = None
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the outcome as JSON has it."""
        plain = dataclasses.asdict(self)
        return plain | {
            "output": str(self.output) if self.output else None,
            "fps": str(self.fps) if self.fps else None,
            "seconds": round(self.seconds, 3),
        }

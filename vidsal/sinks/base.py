"""What every sink is."""

from collections.abc import Callable

from vidsal.types import Rgb, Saliency

# Raises VidsalError if the frame cannot be written.
Write = Callable[[Saliency, Rgb], None]

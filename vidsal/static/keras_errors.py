"""The cause of a Keras or TensorFlow error, as one line of whole sentences."""

import re

from vidsal.errors import flat

# Characters of a cause. Keras' first two or three sentences fit.
_MOST = 300


def cause(error: BaseException) -> str:
    """Return the last line of an error's own text, without the objects that it lists.

    Parameters
    ----------
    error : BaseException

    Returns
    -------
    str
        Whole sentences, about 300 characters at most, with a full stop at the end; the name of
        the error's class where it has no text.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    # Keras lists the arguments of the call last.
    text = text.split("\nArguments received by ")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return f"{type(error).__name__}."
    last = flat(lines[-1]).strip("\"'").removeprefix("Exception encountered: ")
    # Keras and TensorFlow append the configuration of an object, or the node of a graph.
    return _shortened(re.split(r"\s*Full object config: | for '\{\{node | \[Op:", last)[0])


def _shortened(text: str) -> str:
    """Return the first sentences of a text that fit; of a longer first sentence, its words."""
    sentences = re.split(r"(?<=[.!?])\s+(?=[A-Z`])", text)
    kept = sentences[0]
    for sentence in sentences[1:]:
        if len(kept) + len(sentence) >= _MOST:
            break
        kept = f"{kept} {sentence}"
    if len(kept) > _MOST:
        kept = f"{kept[:_MOST].rsplit(' ', 1)[0]} ..."
    return kept if kept.endswith((".", "!", "?")) else f"{kept}."

"""Time limits of downloads, and the causes of failed ones."""

# Seconds to reach the server, and to wait for its next bytes. They suit a slow line, and a machine
# without a network still fails soon.
TIMEOUT_S = (4.0, 15.0)
CUT_OFF = "the connection ended before the file did"


def why(error: Exception) -> str:
    """Return the innermost cause of a failed download: one line of at most 200 characters.

    Parameters
    ----------
    error : Exception
        The error of the download.
    """
    text = str(error)
    if "IncompleteRead" in text:
        return CUT_OFF
    for known in ("Name or service not known", "Temporary failure in name resolution",
                  "getaddrinfo failed", "Network is unreachable", "Connection refused",
                  "timed out"):  # fmt: skip
        if known in text:
            return known
    return " ".join(text.split())[:200]

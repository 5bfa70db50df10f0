"""Files from the network: how long is waited for one, and why it did not come."""

# Seconds to reach the server, and to wait for its next bytes: long enough for a slow line,
# short enough that a machine without network notices before its user does.
TIMEOUT_S = (4.0, 15.0)
CUT_OFF = "the connection ended before the file did"


def why(error: Exception) -> str:
    """Return the innermost reason of a failed download, in a few words."""
    text = str(error)
    if "IncompleteRead" in text:
        return CUT_OFF
    for known in ("Name or service not known", "Temporary failure in name resolution",
                  "getaddrinfo failed", "Network is unreachable", "Connection refused",
                  "timed out"):  # fmt: skip
        if known in text:
            return known
    return " ".join(text.split())[:200]

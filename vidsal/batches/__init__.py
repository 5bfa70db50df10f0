"""Many sources as one batch: manifests, receipts, retries; in this process, in several, or on Ray.

Whoever does the work, the outputs are the same. `vidsal.batch` is the front door.
"""

"""Many sources as one batch: manifests, receipts, retries; in this process, in several, or on Ray.

The outputs are the same in all three cases. `vidsal.batch` is the entry point.
"""

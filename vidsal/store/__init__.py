"""The stored analysis of a source: maps before scaling, and all values that belong to them.

It contains the results of the network and the optical flow, so that pictures can be drawn again
without either. The guide, `docs/guide/stores.md`, describes the schema.
"""

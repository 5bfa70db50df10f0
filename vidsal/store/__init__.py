"""The stored analysis of a source: maps before scaling, and all that goes with them.

It holds what a network and an optical flow have computed, so that pictures of it can be drawn
again without either. The schema is described in the guide, `docs/guide/stores.md`.
"""

"""Scores of the maps against fixations, object masks, and the network itself."""

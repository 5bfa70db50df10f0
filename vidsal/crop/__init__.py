"""Regions of interest and the path of a crop window. Pure maths: arrays in, arrays out."""

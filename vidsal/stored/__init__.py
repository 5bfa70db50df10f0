"""Stored analyses as data: tables, saliency in regions over time, and plots. No TensorFlow."""

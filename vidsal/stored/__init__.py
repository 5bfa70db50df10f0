"""Stored analyses as data: tables, places over time, and plots, without TensorFlow."""

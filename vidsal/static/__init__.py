"""The static half: what in one picture moves a classifier's score.

Importing this package loads nothing heavy; TensorFlow comes with the first `open_static`.
"""

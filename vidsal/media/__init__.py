"""Containers and ffmpeg."""

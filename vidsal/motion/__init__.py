"""Optical flow, camera motion, and the motion that remains without the camera."""

"""Dynamic half: optical flow, the camera's movement, and what is left of one without the other."""

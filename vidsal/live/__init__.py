"""Cameras and streams, shown and recorded as they come."""

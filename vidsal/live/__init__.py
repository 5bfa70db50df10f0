"""Live analysis of cameras and streams, with preview and recording."""

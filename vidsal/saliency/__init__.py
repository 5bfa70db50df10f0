"""From frames to saliency: the stream and its stages."""

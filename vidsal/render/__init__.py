"""Pictures from saliency. Arrays in, arrays out."""

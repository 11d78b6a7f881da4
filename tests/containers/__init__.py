"""The image and the compose stack, in a real Docker engine."""

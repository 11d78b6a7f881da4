"""The door for Seam: verify, read, queue, answer."""

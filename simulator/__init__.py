"""A Seam to try it with: its API and its signed deliveries. Never imported by the product."""

"""Programs that measure: ratios of contenders, side by side in one run."""

"""The door for RQ: jobs, reactions, reconcile, repair."""

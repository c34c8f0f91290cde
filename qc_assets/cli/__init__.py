"""`qc`: the few commands that a person types."""

"""Where activity comes from."""

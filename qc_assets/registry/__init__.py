"""MLflow's registry, its mirror in the warehouse, and model files."""

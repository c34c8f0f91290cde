"""One file a model, nothing but specs."""

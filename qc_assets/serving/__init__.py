"""The champions behind HTTP: predictions, feedback and payouts."""

"""The predictor: its members, its decision and its scores."""

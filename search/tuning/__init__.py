"""One run of a search under Ray Tune."""

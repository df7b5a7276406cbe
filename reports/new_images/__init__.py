"""Predicts new images with a model: the command `python reports/predict.py`."""

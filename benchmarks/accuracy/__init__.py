"""Accuracy: entity F1 of recipes, calibration, and experiments."""

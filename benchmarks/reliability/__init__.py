"""Reliability: bad inputs, interrupted runs, memory, and encoder families."""

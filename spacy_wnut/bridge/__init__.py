"""To and from transformers' own checkpoints for token classification."""

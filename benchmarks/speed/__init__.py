"""Speed: inference, training, `annotate`, and the HTTP service."""

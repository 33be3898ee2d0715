"""Model workers: predictions in the environment that trained the model."""

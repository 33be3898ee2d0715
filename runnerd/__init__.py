"""runnerd: runs training scripts isolated, tracks them, keeps their models and serves them."""

__version__ = "0.1.0"

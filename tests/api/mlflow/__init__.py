"""The MLflow origin, against a real MLflow server, real storage and stock clients."""

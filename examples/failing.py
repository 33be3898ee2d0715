"""A job that fails half-way: its ``error`` is the exception's last line, its run is ended.

runnerd submit examples/failing.py --experiment failures --model none --follow
"""

import mlflow

mlflow.set_experiment("failures")

with mlflow.start_run():
    for epoch in range(3):
        loss = 1.0 / (epoch + 1)
        mlflow.log_metric("loss", loss, step=epoch)
        print(f"epoch {epoch}: loss {loss:.3f}")
    raise ValueError("loss diverged at epoch 3")

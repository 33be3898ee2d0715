"""A job that measures and logs no model: it completes, with a warning and without a version.

runnerd submit examples/no_model.py --experiment measurements --model none --follow
"""

import random

import mlflow

mlflow.set_experiment("measurements")

with mlflow.start_run():
    generator = random.Random(42)
    total = 0.0
    for step in range(20):
        total += generator.random()
        mlflow.log_metric("mean", total / (step + 1), step=step)
    mlflow.log_text("20 draws, seed 42\n", "notes.txt")

print(f"mean {total / 20:.3f}")

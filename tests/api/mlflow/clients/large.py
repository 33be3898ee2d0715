"""One large artifact up and down again, byte by byte the same."""

import hashlib
import os
import sys
import tempfile
from pathlib import Path

import mlflow

size = int(sys.argv[1])
mlflow.set_experiment("large")
with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "large.bin")
    digest = hashlib.sha256()
    with file.open("wb") as opened:
        for start in range(0, size, 2**20):
            piece = os.urandom(min(2**20, size - start))
            digest.update(piece)
            opened.write(piece)
    with mlflow.start_run() as run:
        mlflow.log_artifact(str(file), "data")
    file.unlink()
    down = Path(
        mlflow.artifacts.download_artifacts(
            f"runs:/{run.info.run_id}/data/large.bin", dst_path=folder
        )
    )
    with down.open("rb") as opened:
        assert hashlib.file_digest(opened, "sha256").digest() == digest.digest()
    assert down.stat().st_size == size

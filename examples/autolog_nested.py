"""A small grid search: a parent run, a nested run a candidate, everything logged by autolog.

    runnerd submit examples/autolog_nested.py -r scikit-learn \
        --experiment wine-grid --model wine-classifier --follow

The best candidate is fitted and logged in the parent run, so its model is the one that is
registered.
"""

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

data, target = load_wine(return_X_y=True, as_frame=True)


def candidate(strength):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=500))


mlflow.set_experiment("wine-grid")
mlflow.sklearn.autolog(log_models=False, log_datasets=False)

with mlflow.start_run(run_name="grid"):
    scores = {}
    for strength in (0.01, 0.1, 1.0):
        with mlflow.start_run(run_name=f"C={strength}", nested=True):
            model = candidate(strength).fit(data, target)
            scores[strength] = cross_val_score(model, data, target, cv=3).mean()
            mlflow.log_metric("cv_accuracy", scores[strength])

    best = max(scores, key=scores.get)
    mlflow.sklearn.autolog(log_models=True, log_datasets=False)
    candidate(best).fit(data, target)
    mlflow.log_metric("best_cv_accuracy", scores[best])

print(f"best C {best} with {scores[best]:.3f}")

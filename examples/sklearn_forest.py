"""A random forest on the iris data: one run, one metric, one model.

    runnerd submit examples/sklearn_forest.py -r scikit-learn \
        --experiment iris --model iris-forest --follow
"""

import mlflow
import mlflow.sklearn
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

mlflow.set_experiment("iris")

data, target = load_iris(return_X_y=True, as_frame=True)
data_train, data_test, target_train, target_test = train_test_split(
    data, target, test_size=0.3, random_state=42
)

with mlflow.start_run():
    model = RandomForestClassifier(n_estimators=100, random_state=42)
    model.fit(data_train, target_train)
    accuracy = model.score(data_test, target_test)

    mlflow.log_param("n_estimators", 100)
    mlflow.log_metric("accuracy", accuracy)
    mlflow.sklearn.log_model(model, "model")

print(f"accuracy {accuracy:.3f}")

"""The process that serves one model, run by the Python of the model's own environment.

``python -I worker.py SOCKET LOCK FOLDER MAX_ROWS``: the first two are inherited file descriptors.
It loads the model once and says ``{"ready": true}`` or ``{"unusable": reason}``; then it answers
requests in order. A frame is a length of 8 bytes, big-endian, and JSON. A request is two frames,
``{"probabilities": bool}`` and the inputs. An answer is two: ``{"begun": true}`` at once, then
``{"predictions", "probabilities"}`` or ``{"unfit", "column"}``. The end of the socket is the end
of the process. Runs on Python 3.8; what the environment holds is imported when it is needed.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import ctypes
import json
import math
import os
import queue
import signal
import socket
import struct
import sys
import threading
import traceback
from collections import Counter
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_LENGTH = struct.Struct(">Q")
_PR_SET_PDEATHSIG = 1
_REASON_LENGTH = 500


class Unfit(Exception):
    """The inputs do not fit the model; ``column`` is the one at fault, None where it is not one."""

    def __init__(self, column: str | None, message: str) -> None:
        super().__init__(message)
        self.column = column


def main(arguments: list[str]) -> None:
    """Serve the model until the other end of the socket is closed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    descriptor, lock = int(arguments[0]), int(arguments[1])
    folder, max_rows = arguments[2], int(arguments[3])
    for inherited in (descriptor, lock):
        os.set_inheritable(inherited, False)
    link = socket.socket(fileno=descriptor)
    requests: queue.Queue[tuple[dict[str, Any], bytes]] = queue.Queue()
    threading.Thread(target=_listen, args=(link, requests), daemon=True).start()
    try:
        model = Model(folder)
    except Exception as error:
        traceback.print_exc()
        _send(link, {"unusable": _reason(error)})
        return
    _send(link, {"ready": True})
    while True:
        options, body = requests.get()
        _send(link, {"begun": True})
        _send(link, _answer(model, options, body, max_rows))


def _listen(link: socket.socket, requests: queue.Queue[tuple[dict[str, Any], bytes]]) -> None:
    """Queue what comes. Its end kills the group at once, also in the middle of a prediction."""
    with contextlib.suppress(OSError, EOFError), link.makefile("rb") as stream:
        while True:
            options = json.loads(_read(stream))
            requests.put((options, _read(stream)))
    os.killpg(os.getpid(), signal.SIGKILL)


def _read(stream: Any) -> bytes:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    body: bytes = stream.read(length)
    if len(body) < length:
        raise EOFError
    return body


def _send(link: socket.socket, answer: dict[str, Any]) -> None:
    body = json.dumps(answer, allow_nan=False).encode()
    link.sendall(_LENGTH.pack(len(body)) + body)


def _answer(model: Model, options: dict[str, Any], body: bytes, max_rows: int) -> dict[str, Any]:
    try:
        return model.answer(parse(body, max_rows), options["probabilities"])
    except Unfit as error:
        return {"unfit": str(error), "column": error.column}
    except Exception as error:
        traceback.print_exc()
        return {
            "unfit": f"the model can't predict from these inputs: {_reason(error)}",
            "column": None,
        }


def _reason(error: BaseException) -> str:
    """Give the exception's last line; of MLflow's, only what follows the dump of all inputs."""
    last = "".join(traceback.format_exception_only(type(error), error)).strip()
    last = last.rpartition("\n")[2].rpartition(" Error: ")[2]
    return last if len(last) <= _REASON_LENGTH else last[:_REASON_LENGTH] + "…"


class Model:
    """A loaded model: ``pyfunc`` predicts, ``raw`` is the estimator it wraps, None if hidden."""

    def __init__(self, folder: str) -> None:
        self.pyfunc = import_module("mlflow.pyfunc").load_model(folder, suppress_warnings=True)
        self.raw = _raw_model(self.pyfunc)
        self.schema = self.pyfunc.metadata.get_input_schema()
        _use_one_thread(self.raw)

    def answer(self, inputs: dict[str, list[Any]], probabilities: bool) -> dict[str, Any]:
        """Predict from columns of equal length. Raises ``Unfit``."""
        frame = self.frame(inputs)
        predictions = plain(self.pyfunc.predict(frame))
        shares = None
        if probabilities and hasattr(self.raw, "predict_proba"):
            shares = plain(self.raw.predict_proba(self._enforced(frame)))
        return {
            "predictions": predictions if isinstance(predictions, list) else [predictions],
            "probabilities": shares,
        }

    def frame(self, inputs: dict[str, list[Any]]) -> Any:
        """Give the DataFrame that pyfunc's own enforcement of the schema leaves as it is."""
        pandas = import_module("pandas")
        if self.schema is None:
            return pandas.DataFrame(_fit_estimator(inputs, self.raw))
        if self.schema.is_tensor_spec() and not self.schema.has_input_names():
            return pandas.DataFrame(_fit_tensor(inputs, self.schema.inputs[0]))
        return pandas.DataFrame(_fit_columns(inputs, self.schema))

    def _enforced(self, frame: Any) -> Any:
        """Give what pyfunc hands to the estimator: an array where the signature is a tensor."""
        if self.schema is None or not self.schema.is_tensor_spec():
            return frame
        first = frame.iloc[0, 0]
        if not isinstance(first, list):
            return frame.to_numpy()
        spec = self.schema.inputs[0]
        stacked = import_module("numpy").vstack(frame.iloc[:, 0].tolist())
        return stacked.reshape(spec.shape).astype(spec.type)


def _raw_model(model: Any) -> Any:
    for unwrap in ("get_raw_model", "unwrap_python_model"):
        # A flavour without the method raises what it likes; it then has no raw model to offer.
        with contextlib.suppress(Exception):
            return getattr(model, unwrap)()
    return None


def _use_one_thread(estimator: Any) -> None:
    """Make predictions repeat: threads of sklearn add up in the order in which they end."""
    one: Any
    for one in (estimator, getattr(estimator, "best_estimator_", None)):
        if type(one).__module__.partition(".")[0] == "sklearn" and hasattr(one, "get_params"):
            names = [name for name in one.get_params() if name.split("__")[-1] == "n_jobs"]
            one.set_params(**dict.fromkeys(names, 1))


def parse(body: bytes, max_rows: int) -> dict[str, list[Any]]:
    """Read inputs: columns by name, of equal length. Raises ``Unfit``."""
    try:
        inputs = json.loads(body)
    except (ValueError, RecursionError):
        raise Unfit(None, "the inputs are not valid JSON") from None
    if not isinstance(inputs, dict) or not inputs:
        raise Unfit(None, "inputs must be an object that has a list of values for each feature")
    for column, values in inputs.items():
        if not isinstance(values, list):
            raise Unfit(column, f"the column {column!r} must be a list with one value for each row")
    rows = Counter(map(len, inputs.values())).most_common(1)[0][0]
    for column, values in inputs.items():
        if len(values) != rows:
            raise Unfit(
                column,
                f"the column {column!r} has {len(values)} values where others have {rows}: "
                "all columns must be equally long",
            )
    if rows == 0:
        raise Unfit(None, "the inputs have no rows: give at least one value for each column")
    if rows > max_rows:
        raise Unfit(None, f"the inputs have {rows} rows; at most {max_rows} go into one request")
    return inputs


def _fit_estimator(inputs: dict[str, list[Any]], raw: Any) -> dict[str, list[Any]]:
    """Check columns by what a fitted estimator remembers, where the model has no signature."""
    count = getattr(raw, "n_features_in_", None)
    if not isinstance(count, int):
        return inputs
    for column, values in inputs.items():
        _check_cells(column, values, _is_single, "a single value")
    names = [str(name) for name in getattr(raw, "feature_names_in_", ())]
    # LightGBM makes such names up for a model that was trained without any.
    if not names or names == [f"Column_{index}" for index in range(count)]:
        _check_count(inputs, count)
        return inputs
    _check_missing(inputs, names)
    for column in inputs:
        if column not in names:
            raise Unfit(column, f"the model does not know the column {column!r}: leave it out")
    return {name: inputs[name] for name in names}


def _fit_tensor(inputs: dict[str, list[Any]], spec: Any) -> dict[str, Any]:
    """Type the columns of a single array without a name; a lone column may hold rows as lists."""
    first = next(iter(inputs.values()))
    if len(inputs) == 1 and isinstance(first[0], list):
        return {column: _series(values, object) for column, values in inputs.items()}
    if len(spec.shape) == 2 and spec.shape[1] != -1:
        _check_count(inputs, spec.shape[1])
    return {column: _typed(column, values, spec.type) for column, values in inputs.items()}


def _fit_columns(inputs: dict[str, list[Any]], schema: Any) -> dict[str, Any]:
    """Order and type the columns as the signature has them; others are left out, as by pyfunc."""
    if not schema.has_input_names():
        _check_count(inputs, len(schema.inputs))
        pairs = zip(inputs, schema.inputs)  # noqa: B905 - Python 3.8 has no ``strict``
        return {column: _by_spec(column, inputs[column], spec) for column, spec in pairs}
    _check_missing(inputs, [str(name) for name in schema.required_input_names()])
    return {
        spec.name: _by_spec(str(spec.name), inputs[str(spec.name)], spec)
        for spec in schema.inputs
        if str(spec.name) in inputs
    }


def _by_spec(column: str, values: list[Any], spec: Any) -> Any:
    kind = spec.type
    if hasattr(kind, "to_numpy"):
        return _typed(column, values, kind.to_numpy())
    if not hasattr(kind, "kind") or any(isinstance(value, list) for value in values):
        return _series(values, object)
    return _typed(column, values, kind)


def _check_missing(inputs: dict[str, list[Any]], names: list[str]) -> None:
    for name in names:
        if name not in inputs:
            raise Unfit(name, f"the column {name!r} is missing: the model needs it")


def _check_count(inputs: dict[str, list[Any]], count: int) -> None:
    if len(inputs) != count:
        raise Unfit(None, f"the model takes {count} columns in its own order, not {len(inputs)}")


def _check_cells(
    column: str, values: list[Any], fits: Callable[[Any], bool], wanted: str, null: bool = True
) -> None:
    for row, value in enumerate(values):
        if not (null if value is None else fits(value)):
            shown = json.dumps(value)[:60]
            raise Unfit(column, f"the column {column!r} has {shown} in row {row}, not {wanted}")


def _is_single(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _series(values: Any, dtype: Any) -> Any:
    return import_module("pandas").Series(values, dtype=dtype)


def _typed(column: str, values: list[Any], dtype: Any) -> Any:
    """Give the column as pyfunc wants it for a signature that says ``dtype`` (a numpy one)."""
    convert = _CONVERTERS.get(dtype.kind)
    return convert(column, values, dtype) if convert else _series(values, object)


def _floats(column: str, values: list[Any], dtype: Any) -> Any:
    _check_cells(column, values, _is_number, "a number")
    top = float(import_module("numpy").finfo(dtype).max)

    def fits(value: Any) -> bool:
        return abs(value) <= top or (isinstance(value, float) and not math.isfinite(value))

    _check_cells(column, values, fits, f"a number within the limits of {dtype}")
    return _series([math.nan if value is None else float(value) for value in values], dtype)


def _integers(column: str, values: list[Any], dtype: Any) -> Any:
    _check_cells(column, values, _is_whole, "an integer", null=False)
    limits = import_module("numpy").iinfo(dtype)

    def fits(value: Any) -> bool:
        return bool(limits.min <= value <= limits.max)

    _check_cells(column, values, fits, f"a number within the limits of {dtype}")
    return _series([int(value) for value in values], dtype)


def _booleans(column: str, values: list[Any], dtype: Any) -> Any:
    _check_cells(column, values, lambda value: isinstance(value, bool), "true or false")
    return _series(values, object if None in values else dtype)


def _texts(column: str, values: list[Any], _dtype: Any) -> Any:
    _check_cells(column, values, _is_text, "a string")
    return _series(values, None)


def _binaries(column: str, values: list[Any], _dtype: Any) -> Any:
    _check_cells(column, values, _is_text, "bytes as base64")
    try:
        decoded = [v if v is None else base64.b64decode(v, validate=True) for v in values]
    except (binascii.Error, ValueError):
        raise Unfit(column, f"the column {column!r} holds bytes: send them as base64") from None
    return _series(decoded, object)


def _datetimes(column: str, values: list[Any], _dtype: Any) -> Any:
    _check_cells(column, values, _is_text, "a date or time")
    return _series([_moment(column, value) for value in values], "datetime64[ns]")


def _moment(column: str, value: str | None) -> Any:
    """Read a date or time; one with an offset becomes UTC, since pyfunc takes naive ones only."""
    pandas = import_module("pandas")
    if value is None:
        return pandas.NaT
    try:
        moment = pandas.Timestamp(value)
    except ValueError:
        moment = None
    if moment is None or not value[:1].isdigit():
        raise Unfit(column, f"the column {column!r} has {value[:60]!r}, not a date or time")
    return moment.tz_convert(None) if moment.tzinfo else moment


_CONVERTERS = {
    "f": _floats,
    "i": _integers,
    "u": _integers,
    "b": _booleans,
    "U": _texts,
    "S": _binaries,
    "M": _datetimes,
}


def plain(value: Any) -> Any:
    """Give a prediction as plain JSON; what JSON can't say (NaN, infinities, NaT) is null."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return _plain_of_library(value)


def _plain_of_library(value: Any) -> Any:
    if hasattr(value, "columns") and hasattr(value, "to_dict"):
        return plain(value.to_dict(orient="records"))
    if hasattr(value, "toarray"):
        return plain(value.toarray())
    if type(value).__module__ == "numpy" and value.dtype.kind in "fM":
        value = value.astype("float64" if value.dtype.kind == "f" else "datetime64[us]")
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if type(value).__name__ in ("NaTType", "NAType"):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    main(sys.argv[1:])

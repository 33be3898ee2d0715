"""`runnerd predict`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from runnerd.cli.address import Address, client_options, json_option
from runnerd.cli.connection import connected
from runnerd.cli.output import listing, print_json, stdout
from runnerd.client import Prediction


@click.command
@click.argument("model")
@click.option(
    "--inputs", required=True, metavar="JSON|@FILE|-", help="One list a feature, as a JSON object."
)
@click.option("--version", help="A version, latest, or an alias as @champion.")
@click.option("--probabilities", is_flag=True, help="Give the probability of each class too.")
@json_option
@client_options
def predict(
    address: Address,
    *,
    model: str,
    inputs: str,
    version: str | None,
    probabilities: bool,
    as_json: bool,
) -> None:
    """Ask the model MODEL for predictions. The first request after a pause loads it.

    \b
    Example:
      runnerd predict iris --inputs '{"x1": [5.1, 6.2], "x2": [3.5, 2.9]}'
      runnerd predict iris --inputs @rows.json --version 2 --probabilities
    """
    features = _features(inputs)
    with connected(address) as client:
        answer = client.predict(
            model, features, model_version=version, return_probabilities=probabilities
        )
    if as_json:
        print_json(answer)
    else:
        _show(answer)


def _features(text: str) -> dict[str, Any]:
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        features = json.loads(text)
    except OSError as error:
        raise click.UsageError(f"--inputs: can't read {text[1:]}: {error.strerror}") from error
    except ValueError as error:
        raise click.UsageError(f"--inputs is not JSON: {error}") from error
    if not isinstance(features, dict):
        raise click.UsageError('--inputs must be a JSON object of lists, as {"x": [1, 2]}')
    return features


def _show(answer: Prediction) -> None:
    probabilities = answer["probabilities"]
    columns = ["#", "Prediction"] + (["Probabilities"] if probabilities else [])
    table = listing(*columns)
    for number, prediction in enumerate(answer["predictions"]):
        cells = [str(number), _cell(prediction)]
        if probabilities:
            cells.append(_cell(probabilities[number]))
        table.add_row(*cells)
    console = stdout()
    console.print(table)
    console.print(
        f"{answer['model_name']} version {answer['model_version']}, "
        f"{answer['inference_time_ms']:.1f} ms",
        style="dim",
        markup=False,
    )


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "  ".join(map(_cell, value))
    return value if isinstance(value, str) else json.dumps(value)

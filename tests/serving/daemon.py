"""A daemon in small for the tests: ``daemon.py FOLDER ZOO`` serves ``echo`` until it is killed.

It prints the worker's pid, then lets the worker predict for ten minutes.
"""

import asyncio
import sys
from pathlib import Path

from tests.serving.registry import open_house


async def main(root: Path, zoo: Path) -> None:
    async with open_house(root, zoo, "echo", predict_timeout=900.0) as house:
        first = await house.predict("echo", {"whole": [1], "share": [1]})
        sys.stdout.write(f"{first.predictions[0]['pid']}\n")
        sys.stdout.flush()
        await house.predict("echo", {"whole": [1], "share": [1], "nap": [600]})


if __name__ == "__main__":
    asyncio.run(main(*map(Path, sys.argv[1:])))

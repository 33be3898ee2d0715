"""``python -m runnerd``: the same as the command ``runnerd``."""

from runnerd.cli import main

if __name__ == "__main__":
    main()

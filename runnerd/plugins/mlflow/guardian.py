"""Stands between the daemon and the MLflow server, so that the server never outlives the daemon.

Run as ``python guardian.py COMMANDS GRACE``, as the leader of a process group: runs the commands
(a JSON list of lists) one after the other until one fails. When standard input ends, which is
when the daemon is gone or lets go, the running command gets SIGTERM and, GRACE seconds later or
once it has ended, the whole group SIGKILL. Standard library only.
"""

import json
import os
import select
import signal
import subprocess
import sys


def _outlived(child: subprocess.Popen[bytes]) -> bool:
    """Wait for the child or the end of standard input; tell whether the child is still there."""
    alive = os.pidfd_open(child.pid)
    ready, _, _ = select.select([alive, sys.stdin.fileno()], [], [])
    os.close(alive)
    return alive not in ready


def _end(child: subprocess.Popen[bytes], grace: float) -> None:
    child.terminate()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        pass  # the group gets SIGKILL in any case
    finally:
        os.killpg(0, signal.SIGKILL)


def main(commands: list[list[str]], grace: float) -> int:
    """Run the commands; give the exit code of the last that ran, 128 and more for a signal."""
    # A handler, not SIG_IGN: the commands would inherit that.
    signal.signal(signal.SIGTERM, lambda *_: None)
    code = 0
    for command in commands:
        child = subprocess.Popen(  # noqa: S603 - the daemon's own commands, no user's words
            command, stdin=subprocess.DEVNULL
        )
        if _outlived(child):
            _end(child, grace)
        code = child.wait()
        if code:
            break
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), float(sys.argv[2])))

"""A job that imports what it did not ask for: ``error`` names the requirement to add.

    runnerd submit examples/missing_module.py --experiment failures --model none --follow

Once ``-r lightgbm`` is added, it completes.
"""

import lightgbm

print(f"lightgbm {lightgbm.__version__}")

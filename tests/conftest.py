"""For every test, before torch is loaded."""

import os

# Several processes with torch share few cores in the tests: their threads must not spin.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

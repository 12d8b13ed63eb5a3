"""`python -m genretagger.worker`: a child process; it talks over pipes and is of no use by hand."""

import os
import sys

from genretagger.worker.child import main

main()
# Nothing is left to do, and taking down the interpreter with its libraries takes 60 ms, for which
# the parent waits.
sys.stderr.flush()
os._exit(0)

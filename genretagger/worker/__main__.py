"""`python -m genretagger.worker`: a child process, which talks over pipes; not for use by hand."""

import os
import sys

from genretagger.worker.child import main

main()
# Nothing is left to do, and taking down the interpreter with its libraries takes 60 ms, for which
# the parent waits.
sys.stderr.flush()
os._exit(0)

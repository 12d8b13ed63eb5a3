"""The child process of a check-up: runs one group of checks and prints the findings.

python -m genretagger.cli.checkup.apart GROUP PATH…
"""

import sys

from genretagger.cli.checkup.groups import answer

if __name__ == "__main__":
    answer(sys.argv[1], sys.argv[2:])

"""`python -m genretagger.worker`: a child process; it talks over pipes and is of no use by hand."""

from genretagger.worker.child import main

main()

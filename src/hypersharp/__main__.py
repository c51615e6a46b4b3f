"""`python -m hypersharp` is the command line."""

from hypersharp.cli import main

main()

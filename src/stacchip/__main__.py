"""`python -m stacchip`: the command line, if its script is not on the path."""

from stacchip.cli import main

if __name__ == "__main__":
    main()

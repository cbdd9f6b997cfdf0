"""`python -m steploom` is `steploom`."""

from steploom.cli.main import main

if __name__ == "__main__":
    main()

"""``python -m simpar`` is ``simpar``."""

from simpar.cli import main

if __name__ == "__main__":
    main()

"""`python -m qc_assets.cli`."""

from qc_assets.cli.main import main

if __name__ == "__main__":
    main()

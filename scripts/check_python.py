"""Say clearly when this Python cannot make the virtual environment."""

import sys

version = sys.version_info[:2]
if not (3, 10) <= version <= (3, 12):
    sys.exit(f"error: vla-bench needs Python 3.10 to 3.12, this is {version[0]}.{version[1]}\n  fix: make PYTHON=python3.12")
try:
    import ensurepip  # noqa: F401  Debian leaves it out of python3
    import venv  # noqa: F401
except ImportError:
    sys.exit("error: this Python cannot make virtual environments\n  fix: sudo apt-get install -y python3-venv")

"""Installs PyTorch for the CPU with the pip of the Python that runs this.

On Linux x86-64 the package index has the build with CUDA, which brings gigabytes. The one for the
CPU has a version that ends in `+cpu`; PyTorch's own index has it, and so may the places that pip is
configured with.
"""

from __future__ import annotations

import re
import subprocess
import sys

INDEX = "https://download.pytorch.org/whl/cpu"


def versions(listed: str) -> list[str]:
    """The versions for the CPU, in the order of pip's list: the newest first."""
    return re.findall(r"[\w.]+\+cpu", listed)


def main() -> None:
    """Install it, unless it is there."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    known = subprocess.run([*pip, "show", "torch"], capture_output=True, check=False)
    if known.returncode == 0:
        return
    more = ["--extra-index-url", INDEX, "--retries", "1", "--timeout", "20"]
    listed = subprocess.run([*pip, "index", "versions", "torch", *more], capture_output=True, text=True, check=False)
    found = versions(listed.stdout)
    wanted = f"torch=={found[0]}" if found else "torch"  # macOS, Windows and ARM have no other build
    subprocess.run([*pip, "install", "--quiet", wanted, *(more if found else ())], check=True)


if __name__ == "__main__":
    main()

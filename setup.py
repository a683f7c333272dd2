# SPDX-License-Identifier: MIT
"""Puts the C library and the program, built by make, into the Python package; see pyproject.toml."""
import os
import pathlib
import shutil
import subprocess
import sysconfig

from setuptools import Distribution, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # before setuptools 70.1
    from wheel.bdist_wheel import bdist_wheel

os.makedirs("build/python", exist_ok=True)  # where setup.cfg has its files made


def _headers():
    """Names the headers of the Python that runs this, where it has some, for make."""
    folder = sysconfig.get_path("include")
    return [f"PYTHON_CFLAGS=-isystem {folder}"] if os.path.exists(f"{folder}/Python.h") else []


class Build(build_py):
    def run(self):
        super().run()
        subprocess.run(["make", f"-j{os.cpu_count()}", "build/nauha", "build/libnauha.so", "linalg", "fast", *_headers()],
                       check=True)
        package = pathlib.Path(self.build_lib) / "nauha"
        (package / "bin").mkdir(parents=True, exist_ok=True)
        shutil.copy("build/libnauha.so", package)
        for module in ("build/nauha_linalg.so", "build/nauha_fast.so"):  # where OpenBLAS is, and headers of Python
            if os.path.exists(module):
                shutil.copy(module, package)
        shutil.copy("build/nauha", package / "bin")


class Wheel(bdist_wheel):
    """For any Python 3 of this platform: the library is called through ctypes, and nauha_fast.so needs Python's limited API."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


class Binary(Distribution):
    def has_ext_modules(self):
        """What is installed is of this platform, though Python is extended by no module."""
        return True


setup(distclass=Binary, cmdclass={"build_py": Build, "bdist_wheel": Wheel})

"""Builds the shim and the compatible libraries; everything else is in setup.cfg.

All are plain shared libraries loaded with ctypes, not Python extension modules: one wheel serves
every Python version.
"""

import glob
import os
import shutil

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools before 70.1 takes it from the wheel package
    from wheel.bdist_wheel import bdist_wheel

FLAGS = ["-std=c++17", "-O2", "-g1", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-pthread"]
if os.environ.get("TICKENGINE_WERROR"):
    FLAGS.append("-Werror")


class BuildSharedLibraries(build_ext):
    def run(self):
        compiler = os.environ.get("CXX", "g++")
        if shutil.which(compiler) is None:
            raise SystemExit(
                f"tickengine: no C++ compiler: {compiler!r} was not found. Install one "
                "(Debian, Ubuntu: apt-get install g++) or set CXX, then install again."
            )
        super().run()

    def build_extensions(self):
        compiler = os.environ.get("CXX", "g++")
        self.compiler.set_executable("compiler_so", [compiler])
        self.compiler.set_executable("compiler_so_cxx", [compiler])
        self.compiler.set_executable("compiler_cxx", [compiler])
        self.compiler.set_executable("linker_so", [compiler, "-shared"])
        self.compiler.set_executable("linker_so_cxx", [compiler, "-shared"])
        super().build_extensions()

    def get_ext_filename(self, fullname):
        return os.path.join(*fullname.split(".")) + ".so"

    def get_export_symbols(self, ext):
        return []  # no PyInit function: not a Python module


class PlatformWheel(bdist_wheel):
    def get_tag(self):
        return ("py3", "none", super().get_tag()[2])


setup(
    ext_modules=[
        Extension(
            "tickengine.libtickshim",
            sorted(glob.glob("shim/src/*.cpp")),
            include_dirs=["shim/include", "shim/src"],
            depends=sorted(glob.glob("shim/src/*.[hi]*") + glob.glob("shim/include/*.h")),
            extra_compile_args=FLAGS,
            extra_link_args=["-pthread", "-ldl", "-Wl,-z,defs"],
            language="c++",
        ),
        Extension(
            "tickengine.libcompatible",
            sorted(glob.glob("shim/compat/*.cpp")),
            include_dirs=["shim/compat"],
            depends=[*sorted(glob.glob("shim/compat/*.hpp")), "shim/compat/exports.map"],
            extra_compile_args=[*FLAGS, "-DTK_COMPAT=6711"],
            extra_link_args=["-pthread", "-Wl,--version-script=shim/compat/exports.map"],
            language="c++",
        ),
        Extension(
            "tickengine.libcompatible_trader",
            sorted(glob.glob("shim/compat/trader/*.cpp"))
            + [f"shim/compat/{name}.cpp" for name in ("address", "connection", "faults", "ftd", "life")],
            include_dirs=["shim/compat"],
            depends=[
                *sorted(glob.glob("shim/compat/*.hpp") + glob.glob("shim/compat/trader/*.[hi]*")),
                "shim/compat/trader/exports.map",
            ],
            extra_compile_args=[*FLAGS, "-DTK_COMPAT=6713"],
            extra_link_args=["-pthread", "-Wl,--version-script=shim/compat/trader/exports.map"],
            language="c++",
        ),
    ],
    cmdclass={"build_ext": BuildSharedLibraries, "bdist_wheel": PlatformWheel},
)

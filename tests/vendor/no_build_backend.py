"""A build backend that builds nothing: it lets pip download a source archive without running any of its code.

pip wants a package's metadata before it keeps the archive. What the archive says about itself is enough.
"""

import os
import sys


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    fields = {}
    with open("PKG-INFO", encoding="utf-8", errors="replace") as f:
        for line in f:
            key, _, value = line.partition(": ")
            if key in ("Name", "Version"):
                fields.setdefault(key, value.strip())
    name = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    os.makedirs(os.path.join(metadata_directory, name))
    with open(os.path.join(metadata_directory, name, "METADATA"), "w") as f:
        f.write(f"Metadata-Version: 2.1\nName: {fields['Name']}\nVersion: {fields['Version']}\n")
    return name


__legacy__ = sys.modules[__name__]  # what pip asks for where there is only a setup.py

"""The parts of an Office package (xlsx, xlsb) and how they refer to each other."""

import posixpath

from crm.excel.reading import markup
from crm.excel.reading.values import DAMAGED, WorkbookError


class Package:
    """Parts by name in an open, weighed ZipFile. Names compare without case and may be written with backslashes."""

    def __init__(self, archive):
        self._archive = archive
        self._parts = {_normal(info.filename): info for info in archive.infolist()}

    def __contains__(self, part):
        return part in self._parts

    def open(self, part):
        """A binary stream of the part; WorkbookError where it is missing."""
        if part not in self._parts:
            raise WorkbookError(DAMAGED)
        return self._archive.open(self._parts[part])

    def tags(self, part):
        """(name, attributes) of each element of an XML part; nothing where it is missing."""
        if part in self._parts:
            with self.open(part) as stream:
                yield from markup.start_tags(stream)

    def relations(self, part):
        """{id: (kind, part)} of what a part refers to inside the package; the part "" stands for the package itself."""
        folder, name = posixpath.split(part)
        found = {}
        for tag, attributes in self.tags(_normal(f"{folder}/_rels/{name}.rels")):
            if tag == "Relationship" and attributes.get("TargetMode") != "External":
                target = posixpath.join("/", folder, attributes.get("Target", "").replace("\\", "/"))
                found[attributes.get("Id")] = attributes.get("Type", "").rpartition("/")[2], _normal(target)
        return found

    def main(self, default):
        """The part that is the workbook."""
        return next((part for kind, part in self.relations("").values() if kind == "officeDocument"), default)


def _normal(name):
    return posixpath.normpath("/" + name.replace("\\", "/").lower()).lstrip("/")

"""The importers: one file per kind of export, behind one contract."""

"""Checks of the doctor and the reconciler: they find, report and repair inconsistent records, and change no others."""

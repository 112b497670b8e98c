"""The data of each operation as authorize handlers receive it and may change it: one class for each operation."""

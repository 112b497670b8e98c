"""The catalogue of keys and fields, compared with the scripts, with the Python code and with what is stored."""

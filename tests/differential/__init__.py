"""The differential run: the same requests to the reference server and to Slipway, and what their answers differ in."""

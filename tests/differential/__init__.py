"""The differential test sends the same requests to the reference server and to Slipway and compares the responses."""

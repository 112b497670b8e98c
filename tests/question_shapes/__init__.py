"""Questions of each shape, asked by real graphs and answered by real clients."""

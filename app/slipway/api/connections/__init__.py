"""The connections of clients: what a client may send, and how long it may take, before its request is served."""

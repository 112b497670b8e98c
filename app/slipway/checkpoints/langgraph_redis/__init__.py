"""`SLIPWAY_CHECKPOINTER=langgraph-redis`: threads in the format of `langgraph-checkpoint-redis`, for servers with
RedisJSON and RediSearch. Imported only where that is asked for: the package behind it is an extra."""

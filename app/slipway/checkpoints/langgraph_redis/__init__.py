"""`SLIPWAY_CHECKPOINTER=langgraph-redis`: threads in the format of `langgraph-checkpoint-redis`, for servers with
RedisJSON and RediSearch. Imported only if this checkpointer is chosen, because the package is an optional extra."""

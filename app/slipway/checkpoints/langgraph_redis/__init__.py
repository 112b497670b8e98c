"""`SLIPWAY_CHECKPOINTER=langgraph-redis`: threads in the format of `langgraph-checkpoint-redis`, for servers with
RedisJSON and RediSearch. The checkpointer is imported only if it is chosen."""

def thanks(name: str) -> str:
    return f"thanks, {name}"

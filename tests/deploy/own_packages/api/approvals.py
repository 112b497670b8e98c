def question(number: int) -> str:
    return f"order {number}?"

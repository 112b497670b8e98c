def price_of(number: int) -> int:
    return number * 10

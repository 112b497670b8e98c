"""A graph that cannot be imported."""

raise RuntimeError("<script>alert('reason')</script> is why")

"""A module whose import fails."""

raise RuntimeError("<script>alert('reason')</script> is the reason")

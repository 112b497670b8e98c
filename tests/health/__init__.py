"""Health, admission, connections and outages, on servers that are full, paused, demoted, reading back, or dead."""

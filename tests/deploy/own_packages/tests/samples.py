SAMPLE = "a sample"

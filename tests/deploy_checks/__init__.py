"""Deploy checks: the verdict about all stored threads before a release."""

"""Deploy checks: which stored threads the code of a new release could not continue, before it is deployed."""

"""What must hold for a long time: `make soak` at full size; the tests run the same code for seconds."""

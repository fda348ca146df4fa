"""What others may rely on: schemas, golden examples and the AsyncAPI document, generated from contracts/ and frozen."""

"""A checkpoint -> one page of HTML that shows what it learned."""

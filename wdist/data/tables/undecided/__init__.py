"""What a reading leaves open about a table, so that one refusal tells all that has to be decided."""

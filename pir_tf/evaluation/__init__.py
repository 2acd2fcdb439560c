"""The proof: PIR before and after tuning, its statistics, and what it cost in diversity (sections 4, 5.1, A.1)."""

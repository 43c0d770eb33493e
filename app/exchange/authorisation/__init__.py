"""Who may charge: the tokens that providers publish, and what operators ask about them."""

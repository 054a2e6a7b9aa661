"""Money, human work beside it, payback and forecasts: from the account and from assumptions that the user gives."""

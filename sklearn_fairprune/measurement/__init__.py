"""Floor 4: what is measured of groups, as tables; nothing is worded or drawn here."""

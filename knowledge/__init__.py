"""The ground floor: tables, the store, recall and import. It never hears of an agent or a channel."""

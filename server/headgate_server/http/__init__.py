"""HTTP messages: headers, parameters, bodies, gzip, client addresses. No users, no databases."""

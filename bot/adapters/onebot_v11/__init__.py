"""QQ through any OneBot v11 implementation (NapCat, Lagrange, LLOneBot, go-cqhttp)."""

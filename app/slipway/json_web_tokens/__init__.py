"""Bearer tokens of an OpenID Connect issuer: JSON Web Tokens (RFC 7519), and the keys that verify them."""

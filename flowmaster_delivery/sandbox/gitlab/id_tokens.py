"""ID tokens: who signed in, signed with RS256, and the key that proves it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from functools import cached_property

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ALGORITHM = "RS256"


class SigningKey:
    """One RSA key, made at its first use and never written anywhere."""

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def public(self) -> dict[str, str]:
        """The public key as a JWK; its id is its thumbprint (RFC 7638)."""
        numbers = self._key.public_key().public_numbers()
        named = {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
        thumbprint = hashlib.sha256(_compact(named)).digest()
        return {**named, "kid": _base64(thumbprint), "use": "sig", "alg": ALGORITHM}

    def sign(self, claims: Mapping[str, object]) -> str:
        header = {"typ": "JWT", "alg": ALGORITHM, "kid": self.public["kid"]}
        signed = f"{_base64(_compact(header))}.{_base64(_compact(claims))}"
        mark = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64(mark)}"


def _compact(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _base64(value.to_bytes((value.bit_length() + 7) // 8, "big"))

"""The independent verifier and critic reader: it uses only numpy and the standard library, nothing else of wdist.

`python -m wdist.verify CERT A B` checks a certificate against the two sets of rows; docs/certificate.md specifies the
file, so that others can write their own verifier.
"""

from .command import main
from .container import CertificateError
from .critic import Critic, build_critic, read_critic
from .report import Check, Report
from .verifier import verify_certificate, verify_fresh

__all__ = [
    "CertificateError",
    "Check",
    "Critic",
    "Report",
    "build_critic",
    "main",
    "read_critic",
    "verify_certificate",
    "verify_fresh",
]

#!/bin/sh
# Remove from the base image what a running server never opens; the Dockerfile copies the rest into one layer, so that it
# is gone for good. Removed are package managers, Perl, and what only these need. dpkg stays, and knows what is left:
# scanners for vulnerabilities read its list.
set -eu
unused='apt|libapt-pkg.*|gpgv|debian-archive-keyring|adduser|debconf|perl-base|libgnutls.*|libhogweed.*|libnettle.*|libgmp10'
unused="$unused|libidn2-0|libp11-kit0|libtasn1-6|libunistring.*|libxxhash0|libseccomp2|libsemanage.*|libsepol.*|libcap-ng0x"
unused="$unused|e2fsprogs|libext2fs2.*|libss2.*|logsave|mount|libmount1|diffutils|mawk|ncurses-bin"
unused="$unused|init-system-helpers|sysvinit-utils|usr-is-merged"
unused="$unused|python3-(pip|setuptools)-whl|python3-(lib2to3|distutils)|python3.*-venv"
# shellcheck disable=SC2046 # each name is an argument
dpkg --purge --force-depends --force-remove-essential \
    $(dpkg-query --show --showformat '${Package}\n' | grep -Ex "$unused") > /dev/null
library=$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
rm -rf "$library/ensurepip" "$library/idlelib" "$library/lib2to3" "$library/pydoc_data" "$library/test" "$library/turtledemo" \
    "$library"/config-* "$library/site-packages" /usr/local/bin/pip* /usr/local/include /usr/lib/*/gconv
find "$library" -name __pycache__ -prune -exec rm -rf {} +
rm -rf /var/cache/* /var/lib/apt /var/lib/dpkg/*-old /var/log/* /root/.cache
# What is left runs.
python -c 'import ctypes, hashlib, sqlite3, ssl; assert ssl.create_default_context().get_ca_certs()'

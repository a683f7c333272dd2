#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes Debian packages of what `make install` put into a folder, with debhelper.
# Usage: tools/packaging/make-deb.sh STAGE TO SOVERSION
#
# tools/packaging/debian has what debhelper takes; @SO@ in names and texts is SOVERSION. DEBFULLNAME and
# DEBEMAIL say who makes them; DEB_BUILD_OPTIONS= makes packages of debugging symbols, too.
set -eu
stage=$(realpath "$1") to=$2 so=$3
version=$(cat VERSION)
maintainer="${DEBFULLNAME:-nauha authors} <${DEBEMAIL:-nauha@noreply.example}>"

if ! command -v dh >/dev/null || ! command -v dpkg-buildpackage >/dev/null; then
    echo "make deb needs the packages debhelper and dpkg-dev (make deps)" >&2
    exit 3
fi
# The last commit's time is that of all files, so that the same sources make the same packages.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
DEB_BUILD_OPTIONS=${DEB_BUILD_OPTIONS-noautodbgsym}
export NAUHA_STAGE="$stage" SOURCE_DATE_EPOCH DEB_BUILD_OPTIONS
# debhelper's own calls of make are none of ours.
unset MAKEFLAGS MAKELEVEL MFLAGS

tree=$to/nauha-$version
rm -rf "$tree"
mkdir -p "$tree/debian/source"
for file in tools/packaging/debian/*; do
    name=$(basename "$file" | sed "s/@SO@/$so/")
    sed -e "s/@SO@/$so/g" -e "s/@MAINTAINER@/$maintainer/" "$file" >"$tree/debian/$name"
done
chmod +x "$tree/debian/rules"
echo '3.0 (quilt)' >"$tree/debian/source/format"
cat >"$tree/debian/changelog" <<END
nauha ($version-1) unstable; urgency=medium

  * Made by make deb; CHANGELOG.md says what changed.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
cd "$tree"
if ! dpkg-buildpackage --build=binary --no-sign --no-check-builddeps >../log 2>&1; then
    cat ../log >&2
    exit 1
fi

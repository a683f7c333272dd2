#!/bin/sh
# SPDX-License-Identifier: MIT
# Puts Amazon's smdebug, which tests/bench/bench_recorder.py compares with, into the directory DIR, for the
# Python given. Its last release is older than NumPy 2, which has no tostring().
# Usage: install-smdebug.sh PYTHON DIR
set -eu
python=$1 dir=$2
[ ! -d "$dir" ] || exit 0
trap 'rm -rf "$dir.new"' EXIT
"$python" -m pip install -q --disable-pip-version-check --target "$dir.new" --no-deps smdebug==1.0.34 protobuf==3.20.3 \
    pyinstrument==3.4.2 pyinstrument_cext packaging boto3 botocore s3transfer jmespath python-dateutil six requests \
    urllib3 idna certifi charset-normalizer psutil
sed -i 's/\.tostring()/.tobytes()/' "$dir.new/smdebug/core/tfevent/util.py"
mv "$dir.new" "$dir"

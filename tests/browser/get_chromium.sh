#!/bin/sh
# Debian's Chromium for the tests of the pages, where root may install it; without one they
# are skipped.
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the tests of the pages ..."
    (apt-get update -q && apt-get install -y -q --no-install-recommends chromium) >/dev/null 2>&1
fi
command -v chromium >/dev/null ||
    echo "No Chromium here: the tests of the pages will be skipped. Install it to run them."

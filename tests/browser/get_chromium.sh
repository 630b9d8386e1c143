#!/bin/sh
# Debian's Chromium for the tests of the pages, where root may install it; without one they
# are skipped, or fail where FAIRPRUNE_REQUIRE names it.
for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the tests of the pages ..."
    log=$(mktemp)
    export DEBIAN_FRONTEND=noninteractive
    (apt-get update -q && apt-get install -y -q --no-install-recommends chromium) \
        >"$log" 2>&1 </dev/null || tail -n 20 "$log"
    rm -f "$log"
fi
command -v chromium >/dev/null ||
    echo "No Chromium here: the tests of the pages cannot run. Install it to run them."

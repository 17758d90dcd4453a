#!/bin/sh
# Runs every test this machine can run; the summary at the end lists what was
# skipped and why. Arguments go to go test; without any, all packages are tested.
#
#   QUORATE_LAB=required  the tests that need the lab must run
#   QUORATE_LAB=off       they are skipped
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
[ $# -gt 0 ] || set -- ./...

# The race detector is linked by a C compiler. Go turns cgo off where there is none.
race=-race race_note=
if [ "$("$go" env CGO_ENABLED)" != 1 ] || ! command -v "$("$go" env CC | cut -d' ' -f1)" >/dev/null; then
	race= race_note='without the race detector: there is no C compiler here'
fi

# What the lab needs is fetched before the tests, so that none of them waits for it.
lab_note=
if [ "${QUORATE_LAB:-}" != off ] && [ "$(uname -s)" = Linux ]; then
	if ! "$go" run ./test/lab/cmd/lab prepare; then
		lab_note='without the lab: it could not be prepared, see the first lines'
		if [ "${QUORATE_LAB:-}" = required ]; then
			echo "the lab is required and could not be prepared" >&2
			exit 1
		fi
	fi
fi

code=0
# shellcheck disable=SC2086 # an empty $race is no argument
"$go" tool gotestsum --format pkgname --format-icons text --format-hide-empty-pkg --raw-command -- \
	"$go" test -json $race -timeout 60m "$@" || code=$?
for note in "$race_note" "$lab_note"; do
	[ -z "$note" ] || echo "note: $note"
done
exit $code

package loadgen

import (
	"fmt"
	"math"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	// spareFiles is the number of descriptors that a worker keeps for itself.
	spareFiles = 200
	// maxPerWorker bounds the connections of a worker where the limit on open files does not: each has one loop, and on
	// a large machine several are needed to keep up with pushd.
	maxPerWorker = 50_000
	// maxInFlight is how many connections are being opened at the same time, by all workers together.
	maxInFlight = 256
)

// share is the connections of one worker: First to First+Count-1.
type share struct{ First, Count int }

// fileLimit is the number of files that a worker may have open: the hard limit, to which the Go runtime raises the soft
// one.
func fileLimit() (int, error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, fmt.Errorf("read limit on open files: %w", err)
	}
	return int(min(r.Max, math.MaxInt32)), nil
}

// plan spreads the connections over as few workers as the limit on open files allows, evenly.
func plan(connections, files int) ([]share, error) {
	per := min(files-spareFiles, maxPerWorker)
	if per < 1 {
		return nil, fmt.Errorf("a limit of %d open files leaves no room for connections: %d are kept back", files, spareFiles)
	}
	workers := (connections + per - 1) / per
	shares := make([]share, workers)
	for i := range shares {
		first := connections * i / workers
		shares[i] = share{first, connections*(i+1)/workers - first}
	}
	return shares, nil
}

// Sources are 127.A.B.C: a group of perGroup connections uses sourcesPerGroup addresses, so that each of them has few
// enough ports in use for the kernel to find a free one at once.
const (
	perGroup        = 5000
	sourcesPerGroup = 250
)

// source is the address from which connection i comes.
func source(i int) netip.Addr {
	group := i / perGroup
	return netip.AddrFrom4([4]byte{127, byte(1 + group/sourcesPerGroup), byte(1 + group%sourcesPerGroup), byte(1 + i%sourcesPerGroup)})
}

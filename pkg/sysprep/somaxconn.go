package sysprep

import (
	"fmt"
	"math/bits"
)

// The bounds of a recommended backlog: the kernel's default since 5.4, and the most that older kernels take.
const (
	minSomaxconn = 4096
	maxSomaxconn = 65_535
)

var somaxconnCheck = Check{ID: "net.core.somaxconn", Group: GroupNetwork, run: checkSomaxconn}

func checkSomaxconn(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("net.core.somaxconn")
	if err != nil {
		return Finding{}, err
	}
	listeners := int64(max(1, h.process().cpus)) // pushd opens one for each of its loops
	return judgeSomaxconn(current, listeners, t), nil
}

// judgeSomaxconn fails below the kernel's default, and warns when all clients coming back at once may overflow the
// queues; pushd asks for as long a queue as the kernel gives. It bounds how fast connections come, not how many are
// held.
func judgeSomaxconn(current, listeners int64, t Target) Finding {
	rate := t.connectRate()
	f := atLeast(current, minSomaxconn, somaxconnWanted(rate, listeners))
	f.Formula = fmt.Sprintf("%d connects/s over %d listeners, up to a power of 2, %d to %d = %s",
		rate, listeners, minSomaxconn, maxSomaxconn, f.Wanted)
	f.Why = "The kernel silently cuts the queue of each listener to this, and drops the handshakes of a burst beyond it."
	f = f.withSysctl("net.core.somaxconn")
	if f.FixNow != "" {
		f.FixNow += "  # then restart pushd"
	}
	return f
}

// somaxconnWanted is the power of two that holds one second of new connections for each listener, within bounds.
func somaxconnWanted(rate, listeners int64) int64 {
	perListener := ceilDiv(rate, listeners)
	return min(max(int64(1)<<bits.Len64(uint64(perListener-1)), minSomaxconn), maxSomaxconn)
}

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

var somaxconnCheck = Check{ID: "net.core.somaxconn", Group: GroupAccept, run: checkSomaxconn, Explain: "" +
	"The kernel cuts the backlog of every listen() to this without a word: the queue of connections whose handshake is done " +
	"and which pushd has not accepted yet. When it is full the last packet of a handshake is dropped, and the client tries " +
	"again after a second or more. pushd asks for 65,535 and gets this number for each of its loops. A change counts for " +
	"listeners that are opened later: restart pushd. The default was 128 before Linux 5.4."}

func checkSomaxconn(h *Host, t Target) (Finding, error) {
	current, err := h.sysctl("net.core.somaxconn")
	if err != nil {
		return Finding{}, err
	}
	if !t.serves() {
		return fine(number(current), ""), nil
	}
	f := judgeSomaxconn(current, h.listeners(t), t)
	f = f.withSysctl(h, "net.core.somaxconn", f.Wanted)
	if f.Remedy != nil {
		f.Remedy.Restart = true
		if h.settable("net.core.somaxconn") {
			f.FixNow += "  # then restart pushd"
		}
	}
	return f, nil
}

// judgeSomaxconn fails below the kernel's default, and warns when all clients coming back at once may overflow the
// queues; pushd asks for as long a queue as the kernel gives. It bounds how fast connections come, not how many are
// held.
func judgeSomaxconn(current, listeners int64, t Target) Finding {
	rate := t.rate()
	f := atLeast(current, minSomaxconn, somaxconnWanted(rate, listeners))
	f.Formula = fmt.Sprintf("%d connects/s over %d listeners, up to a power of 2, %d to %d = %s",
		rate, listeners, minSomaxconn, maxSomaxconn, f.Wanted)
	f.Why = "The kernel silently cuts the queue of each listener to this, and drops the handshakes of a burst beyond it."
	return f
}

// somaxconnWanted is the power of two that holds one second of new connections for each listener, within bounds.
func somaxconnWanted(rate, listeners int64) int64 {
	perListener := ceilDiv(rate, listeners)
	return min(max(int64(1)<<bits.Len64(uint64(perListener-1)), minSomaxconn), maxSomaxconn)
}

package netloop

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A listener that another process has shut down fails for ever. It does not keep the loop busy, the
// loop's other listener goes on, and it is served again when it listens again.
func TestListenerThatFailsForEver(t *testing.T) {
	t.Parallel()
	w, _ := startWatching(t, nil)
	broken := w.loop.listeners // of startLoop, then of startWatching
	var fd int
	w.call(func() { fd = broken[len(broken)-1].fd })
	if err := unix.Shutdown(fd, unix.SHUT_RD); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is told", func() bool {
		w.told.Lock()
		defer w.told.Unlock()
		return len(w.over) > 0 && strings.Contains(w.over[0], "does not accept")
	})
	before := w.loop.stats.Batches.Load()
	<-time.After(acceptRecheck / 2)
	if n := w.loop.stats.Batches.Load() - before; n > 30 {
		t.Errorf("%d batches in %v, want hardly any", n, acceptRecheck/2)
	}
	dial(t, listen(t, w.loop))
	w.connection(t, 0)
	if err := unix.Listen(fd, 10); err != nil {
		t.Fatal(err)
	}
	addr, err := localAddr(fd) // the kernel chooses another port
	if err != nil {
		t.Fatal(err)
	}
	dial(t, addr.String())
	w.connection(t, 1)
}

// Stopping to listen does not try a listener again that fails for ever.
func TestStopListeningWithAListenerThatFails(t *testing.T) {
	w, _ := startWatching(t, nil)
	w.call(func() {
		ln := w.loop.listeners[0]
		unix.Shutdown(ln.fd, unix.SHUT_RD)
		if w.loop.acceptOne(ln) {
			t.Error("acceptOne says that there may be another connection")
		}
	})
	w.loop.StopListening()
	w.call(func() {
		if n := w.loop.resting; n != 0 {
			t.Errorf("%d listeners rest after all are closed", n)
		}
	})
}

package server

import (
	"log/slog"
	"os"
	"runtime"
	"sync"
	"time"

	"holdfast/pkg/stats"
	"holdfast/pkg/version"
)

// systemAge is how old what the system says may be in a snapshot: many may ask for snapshots at the same time.
const systemAge = 100 * time.Millisecond

// system is what kernel and runtime have said last.
type system struct {
	mu      sync.Mutex
	read    time.Time
	warned  time.Time
	process stats.Process
	kernel  stats.Kernel
	heap    stats.Heap
}

// Snapshot returns the daemon's counters at this moment. It may be called from any goroutine. It costs the same whatever the number of
// connections.
func (s *Server) Snapshot() stats.Snapshot {
	snap := stats.Sum(s.loops.counts)
	for i, l := range s.loops.all {
		snap.Loops[i].Mailbox = l.Waiting()
	}
	snap.Channels = s.loops.dir.Channels()
	snap.Published = s.loops.dir.Published()
	if n := s.loops.dir.Repeats(); n > 0 {
		snap.Dropped[stats.Repeat] = n
	}
	snap.UptimeSeconds = time.Since(s.started).Seconds()
	snap.Goroutines = runtime.NumGoroutine()
	snap.PID, snap.Version = os.Getpid(), version.String()
	snap.Limits = stats.Limits{MaxConnections: s.opts.MaxConnections, MaxQueued: s.opts.MaxQueued, QueueMemory: s.opts.QueueMemory}
	snap.Backends = s.loops.routes.backends()
	s.fillSystem(&snap)
	return snap
}

// fillSystem adds what kernel and runtime say.
func (s *Server) fillSystem(snap *stats.Snapshot) {
	y := &s.system
	y.mu.Lock()
	defer y.mu.Unlock()
	if now := time.Now(); now.Sub(y.read) >= systemAge {
		y.read = now
		var err [2]error
		y.process, err[0] = stats.ReadProcess("/", s.openFiles)
		y.kernel, err[1] = stats.ReadKernel("/")
		y.heap = stats.ReadHeap()
		for _, err := range err {
			if err != nil && now.Sub(y.warned) >= time.Minute {
				y.warned = now
				s.opts.Log.Warn("cannot read figures of the system", slog.Any("err", err))
			}
		}
	}
	y.process.Fill(snap)
	y.heap.Fill(snap)
	snap.Kernel = y.kernel
}

// openFiles counts descriptors where the kernel does not tell: those of clients, and about those of a loop and control.
func (s *Server) openFiles() int {
	const perLoop, rest = 6, 16
	return s.loops.limit.Connections() + len(s.loops.all)*(perLoop+len(s.opts.Listen)) + rest
}

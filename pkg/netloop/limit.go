package netloop

import (
	"sync"
	"sync/atomic"
	"time"
)

// refusalsPerSecond bounds how many connections over the limit are answered in a second, by all loops together. Each
// takes one of the descriptors kept back until its client has the answer, for at most lingerTime.
const refusalsPerSecond = 32

// warnEvery is the time between two warnings that the limit is reached.
const warnEvery = time.Minute

// Limit is the number of connections that all loops of a daemon may hold. It is safe for all goroutines.
type Limit struct {
	max  int64
	n    atomic.Int64
	peak atomic.Int64 // since Peak was called

	mu       sync.Mutex
	second   int64
	refusals int       // in that second
	warned   time.Time // when a warning was due last
	heldBack int       // refusals since then
}

// NewLimit returns a Limit of max connections.
func NewLimit(max int) *Limit { return &Limit{max: int64(max)} }

// Connections returns the number of open sockets, those of finishing connections included.
func (m *Limit) Connections() int { return int(m.n.Load()) }

// Peak returns about the largest number of connections since it was called last.
func (m *Limit) Peak() int { return int(m.peak.Swap(m.n.Load())) }

func (m *Limit) full() bool { return m.n.Load() >= m.max }

// enter counts a connection in and reports whether it is within the limit.
func (m *Limit) enter() bool {
	n := m.n.Add(1)
	if n > m.peak.Load() {
		m.peak.Store(n)
	}
	return n <= m.max
}

func (m *Limit) leave() { m.n.Add(-1) }

// refuse counts one connection over the limit. It reports whether that may be answered in this second, and whether a
// warning is due, with the number of refusals since the one before.
func (m *Limit) refuse() (answer, warn bool, refused int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if s := now.Unix(); s != m.second {
		m.second, m.refusals = s, 0
	}
	m.refusals++
	m.heldBack++
	if now.Sub(m.warned) >= warnEvery {
		m.warned, warn, refused, m.heldBack = now, true, m.heldBack, 0
	}
	return m.refusals <= refusalsPerSecond, warn, refused
}

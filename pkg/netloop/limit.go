package netloop

import (
	"sync"
	"sync/atomic"
	"time"
)

// refusalsPerSecond bounds how many connections over the limit are answered in a second, by all loops together. Each
// takes one of the descriptors kept back until its client has the answer, for at most lingerTime.
const refusalsPerSecond = 64

// Limit is the number of connections that all loops of a daemon may hold. It is safe for all goroutines.
type Limit struct {
	max int64
	n   atomic.Int64

	mu       sync.Mutex
	second   int64
	refusals int
}

// NewLimit returns a Limit of max connections.
func NewLimit(max int) *Limit { return &Limit{max: int64(max)} }

// Connections returns the number of open sockets, those of finishing connections included.
func (m *Limit) Connections() int { return int(m.n.Load()) }

func (m *Limit) full() bool { return m.n.Load() >= m.max }

// enter counts a connection in and reports whether it is within the limit.
func (m *Limit) enter() bool { return m.n.Add(1) <= m.max }

func (m *Limit) leave() { m.n.Add(-1) }

// mayRefuse reports whether one more connection over the limit may be answered in this second.
func (m *Limit) mayRefuse() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := time.Now().Unix(); s != m.second {
		m.second, m.refusals = s, 0
	}
	m.refusals++
	return m.refusals <= refusalsPerSecond
}

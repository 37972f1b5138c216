package stats

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Backends is what became of all requests for backends. It is there with a routes file only.
type Backends struct {
	Requests       uint64            `json:"requests" msgpack:"requests"`               // that were given to a backend's route
	Holds          uint64            `json:"holds" msgpack:"holds"`                     // of them, held
	Errors         map[string]uint64 `json:"errors" msgpack:"errors"`                   // those that went wrong, by cause
	Retries        uint64            `json:"retries" msgpack:"retries"`                 // sent once more, on a new connection
	Failovers      uint64            `json:"failovers" msgpack:"failovers"`             // targets passed over
	Gone           uint64            `json:"gone" msgpack:"gone"`                       // whose client left first
	InFlight       int64             `json:"in_flight" msgpack:"in_flight"`             // at a backend now
	Waiting        int64             `json:"waiting" msgpack:"waiting"`                 // for their turn now
	Connections    int64             `json:"connections" msgpack:"connections"`         // to backends, with the idle ones
	ReloadFailures uint64            `json:"reload_failures" msgpack:"reload_failures"` // times that the routes file was bad when read again
}

// Routes are the figures of the routes that have been asked for, in the order of the file.
type Routes struct {
	Routes []RouteSnapshot `json:"routes" msgpack:"routes"`
	Left   int             `json:"left" msgpack:"left"` // routes of the file without figures, because nobody asked or there are too many
}

// RouteSnapshot is one route at one moment. Its counters count since it was first asked for in a file that has it.
type RouteSnapshot struct {
	ID       string            `json:"id" msgpack:"id"`     // its id, or its condition
	Line     int               `json:"line" msgpack:"line"` // of the routes file, from 1
	Requests uint64            `json:"requests" msgpack:"requests"`
	Errors   map[string]uint64 `json:"errors" msgpack:"errors"` // by cause
	InFlight int64             `json:"in_flight" msgpack:"in_flight"`
	Waiting  int64             `json:"waiting" msgpack:"waiting"`

	// From a request's arrival to the head of its answer, with the wait for its turn, in microseconds.
	P50 float64 `json:"p50_us" msgpack:"p50_us"`
	P99 float64 `json:"p99_us" msgpack:"p99_us"`
	Max float64 `json:"max_us" msgpack:"max_us"`
}

// Answers is the histogram of one route: of durations from a microsecond to an hour, to two digits, in 30 KB once there is one. Any
// goroutine may use it.
type Answers struct {
	mu sync.Mutex
	h  *hdrhistogram.Histogram // nil before the first
}

// Record counts d.
func (a *Answers) Record(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.h == nil {
		a.h = hdrhistogram.New(int64(time.Microsecond), int64(longest), 2)
	}
	// The only error is about a value outside the range.
	a.h.RecordValue(int64(min(max(d, 0), longest))) //nolint:errcheck // see above
}

// Fill sets the times of r.
func (a *Answers) Fill(r *RouteSnapshot) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.h == nil {
		return
	}
	us := func(ns int64) float64 { return float64(ns) / float64(time.Microsecond) }
	r.P50, r.P99, r.Max = us(a.h.ValueAtPercentile(50)), us(a.h.ValueAtPercentile(99)), us(a.h.Max())
}

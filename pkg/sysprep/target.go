package sysprep

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Role is what a host does with the connections.
type Role string

// The roles.
const (
	RoleServer  Role = "server"  // it holds the connections of clients
	RoleLoadgen Role = "loadgen" // it opens them
	RoleBoth    Role = "both"    // it does both over the loopback interface, as a test does
)

var roles = []Role{RoleServer, RoleLoadgen, RoleBoth}

// ParseRole reads the name of a role.
func ParseRole(s string) (Role, error) {
	for _, r := range roles {
		if s == string(r) {
			return r, nil
		}
	}
	err := fmt.Errorf("%.40q is no role; there are server, loadgen and both", s)
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	if near := nearestName(s, names); near != "" {
		err = fmt.Errorf("%w (did you mean %s?)", err, near)
	}
	return "", err
}

// MaxN is the highest number of connections that the formulas are worked out for.
const MaxN = 1_000_000_000

// What the formulas assume where nobody says better.
const (
	DefaultMsgBytes = 1000            // a message to all, with its framing
	DefaultUnit     = "pushd.service" // the unit that the remedies name
	userBytes       = 80              // pushd's own memory for an idle connection; 272 where each has a channel of its own
	loadgenBytes    = 400             // the load generator's own memory for a connection
	rampSeconds     = 60              // all clients are expected back within this time
)

// Target is what the host shall carry. The zero value of every field but N will do.
type Target struct {
	N        int64 // connections at the same time, 1 to MaxN
	Role     Role  // "" means RoleServer
	Workers  int   // processes that share them; 0 means 1
	Rate     int64 // new connections a second at the peak; 0 means N/60
	MsgBytes int64 // bytes of a message to all, with its framing; 0 means DefaultMsgBytes

	// The addresses of a load generator: it has Sources*Destinations*Ports times the local ports. 0 means 1.
	Sources, Destinations, Ports int

	PID  int    // the process that is judged; 0 means the one that checks
	Unit string // the systemd unit that is judged; "" means none

	Pushd *Pushd // what a running pushd said about itself; nil when none was asked
}

// Pushd is what a running pushd knows better than any assumption.
type Pushd struct {
	PID            int
	Loops          int
	Connections    int64
	MaxConnections int64 // what it accepts at most; 0 when it did not say

	// UserBytes is its own memory for each of its connections, or 0 when it holds too few of them to tell.
	UserBytes int64
}

// role is Role, with its default.
func (t Target) role() Role {
	if t.Role == "" {
		return RoleServer
	}
	return t.Role
}

// serves reports whether the host holds connections of clients, and opens whether it makes them.
func (t Target) serves() bool { return t.role() != RoleLoadgen }
func (t Target) opens() bool  { return t.role() != RoleServer }

// with is the same target for n connections. A rate that was given stays.
func (t Target) with(n int64) Target {
	t.N = n
	return t
}

// ends is how many ends of a connection are on this host: both of them in RoleBoth.
func (t Target) ends() int64 {
	if t.role() == RoleBoth {
		return 2
	}
	return 1
}

// sockets is the number of sockets on the host for the connections.
func (t Target) sockets() int64 { return t.N * t.ends() }

// workers is Workers, with its default.
func (t Target) workers() int64 { return int64(max(1, t.Workers)) }

// perProcess is the number of connections in one process.
func (t Target) perProcess() int64 { return ceilDiv(t.N, t.workers()) }

// rate is the expected peak of new connections a second, and of closes when many leave at once.
func (t Target) rate() int64 {
	if t.Rate > 0 {
		return t.Rate
	}
	return ceilDiv(t.N, rampSeconds)
}

// msgBytes is MsgBytes, with its default.
func (t Target) msgBytes() int64 {
	if t.MsgBytes > 0 {
		return t.MsgBytes
	}
	return DefaultMsgBytes
}

// tuples is the number of connections that one local port of a load generator can be used for.
func (t Target) tuples() int64 {
	return product(product(int64(max(1, t.Sources)), int64(max(1, t.Destinations))), int64(max(1, t.Ports)))
}

// fdsNeeded is the RLIMIT_NOFILE that one process needs to hold n connections: 2% and 1,024 more.
func fdsNeeded(n int64) int64 {
	return ceilPercent(n, 102) + 1024
}

// The formulas stop at math.MaxInt64, which is more than any host has: a sum that wrapped would be a wrong ok.

// sum and product are those of numbers that are not negative.
func sum(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func product(a, b int64) int64 {
	if b != 0 && a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

// ceilDiv is a/b rounded up.
func ceilDiv(a, b int64) int64 {
	n := a / b
	if a%b > 0 {
		n++
	}
	return n
}

// ceilPercent is percent/100 of n, rounded up.
func ceilPercent(n, percent int64) int64 {
	return sum(product(n/100, percent), ceilDiv(n%100*percent, 100))
}

// ParseN reads a number of connections as people say it: 15000, 1_000_000, 250k, 1M, 1.5M; k, M and G are powers of ten.
func ParseN(s string) (int64, error) {
	digits, scale := s, 0
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			scale = 3
		case 'm', 'M':
			scale = 6
		case 'g', 'G':
			scale = 9
		}
		if scale > 0 {
			digits = s[:len(s)-1]
		}
	}
	n, err := parseDecimal(digits, scale)
	switch {
	case errors.Is(err, errNotNumber):
		return 0, fmt.Errorf("%q is no number of connections, such as 15000, 250k or 1M", s)
	case errors.Is(err, strconv.ErrRange) || err == nil && (n < 1 || n > MaxN):
		return 0, fmt.Errorf("%s connections are out of range, 1 to %d", s, MaxN)
	}
	return n, err
}

var errNotNumber = errors.New("no number")

// parseDecimal reads digits times ten to the power of scale; a fraction must come out whole, and single underscores may
// part digits.
func parseDecimal(s string, scale int) (int64, error) {
	whole, fraction, hasFraction := strings.Cut(s, ".")
	if strings.Contains(whole, "_") {
		if strings.HasPrefix(whole, "_") || strings.HasSuffix(whole, "_") || strings.Contains(whole, "__") {
			return 0, errNotNumber
		}
		whole = strings.ReplaceAll(whole, "_", "")
	}
	if hasFraction && fraction == "" || len(fraction) > scale || !isDigits(whole) || !isDigits("0"+fraction) {
		return 0, errNotNumber
	}
	return strconv.ParseInt(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10, 64)
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// holds is the largest number of connections for which need stays within limit, or nil when that is above MaxN. need
// must not fall with n. Searching spares each formula a hand-made inverse that could disagree with it.
func holds(limit int64, need func(n int64) int64) *int64 {
	low, high := int64(0), int64(MaxN) // need(low) fits, or low is 0
	if limit == math.MaxInt64 || need(high) <= limit {
		return nil
	}
	for high-low > 1 {
		if mid := (low + high) / 2; need(mid) <= limit {
			low = mid
		} else {
			high = mid
		}
	}
	return &low
}

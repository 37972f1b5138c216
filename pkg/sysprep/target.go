package sysprep

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// RoleServer is the role of a host that holds the connections of clients.
const RoleServer = "server"

// MaxN is the highest number of connections that the formulas are worked out for.
const MaxN = 1_000_000_000

// What pushd brings to the formulas.
const (
	userBytes   = 200 // pushd's own memory for an idle connection: its budget for events, streams and WebSockets
	queuedPages = 1   // pages that a message in flight to a connection holds, up to about 2,700 bytes of it
	rampSeconds = 60  // all clients are expected back within this time
)

// Target is what the host shall carry in the role of RoleServer.
type Target struct {
	N int64 // connections at the same time, 1 to MaxN
}

// connectRate is the expected peak of new connections a second.
func (t Target) connectRate() int64 {
	return (t.N + rampSeconds - 1) / rampSeconds
}

// fdsNeeded is the RLIMIT_NOFILE that one process needs to hold n connections: 2% and 1,024 more.
func fdsNeeded(n int64) int64 {
	return ceilPercent(n, 102) + 1024
}

// ceilPercent is percent/100 of n, rounded up.
func ceilPercent(n, percent int64) int64 {
	return (n*percent + 99) / 100
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

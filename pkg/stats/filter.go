package stats

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

var kinds = [numKinds]string{HTTP: "http", Stream: "stream", Events: "events", Poll: "poll", WS: "ws"}

// String returns the kind as ConnectionInfo has it.
func (k Kind) String() string {
	if k >= numKinds {
		return "unknown"
	}
	return kinds[k]
}

// ParseFilter reads a filter of connections as a person writes it: terms with spaces between them, of which each is kind=KIND,
// address=IP or address=IP/BITS, or channel=NAME. The channel comes last, for its name may have spaces. Terms of the same name
// must not come twice. "" is the filter that lets all pass.
func ParseFilter(text string) (ConnectionFilter, error) {
	var f ConnectionFilter
	for rest := strings.TrimSpace(text); rest != ""; {
		name, value, ok := strings.Cut(rest, "=")
		if !ok {
			return f, fmt.Errorf("%q is not a filter: want kind=, address= or channel=", rest)
		}
		field := map[string]*string{"kind": &f.Kind, "address": &f.Address, "channel": &f.Channel}[name]
		if field == nil {
			return f, fmt.Errorf("there is no filter %q: want kind=, address= or channel=", name)
		}
		if *field != "" {
			return f, fmt.Errorf("the filter %s= is there twice", name)
		}
		if rest = ""; name != "channel" {
			value, rest, _ = strings.Cut(value, " ")
			rest = strings.TrimLeft(rest, " ")
		}
		if value == "" {
			return f, fmt.Errorf("the filter %s= has no value", name)
		}
		*field = value
	}
	return f, f.Check()
}

// Check says why f is not a filter.
func (f ConnectionFilter) Check() error {
	if f.Kind != "" && !slices.Contains(kinds[:], f.Kind) {
		return fmt.Errorf("%q is not a kind of connection: want http, stream, events, poll or ws", f.Kind)
	}
	if f.Address != "" {
		if _, err := ParsePrefix(f.Address); err != nil {
			return err
		}
	}
	return nil
}

// ParsePrefix reads the address of a filter: an IP address, or one with a number of bits.
func ParsePrefix(s string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(s); err == nil {
		return p.Masked(), nil
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is not an address: want an IP address, or one with its bits as in 10.0.0.0/8", s)
	}
	a = a.Unmap()
	return netip.PrefixFrom(a, a.BitLen()), nil
}

// CompareConnections compares two connections in an order: below 0 when a comes first.
func CompareConnections(by string, a, b *ConnectionInfo) int {
	switch by {
	case ByAge:
		return cmp.Compare(b.AgeSeconds, a.AgeSeconds)
	case ByNewest:
		return cmp.Compare(a.AgeSeconds, b.AgeSeconds)
	case ByQuiet:
		return cmp.Compare(b.QuietSeconds, a.QuietSeconds)
	case BySubscriptions:
		return cmp.Compare(b.Subscriptions, a.Subscriptions)
	}
	return cmp.Compare(b.QueuedBytes, a.QueuedBytes)
}

// Check says why f is not a filter.
func (f EventFilter) Check() error {
	for _, t := range f.Types {
		if !slices.Contains(EventTypes(), t) {
			return fmt.Errorf("%q is not a type of event: want %s", t, strings.Join(EventTypes(), ", "))
		}
	}
	return ConnectionFilter{Address: f.Address, Channel: f.Channel, Kind: f.Kind}.Check()
}

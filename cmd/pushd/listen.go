package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// maxListeners bounds how many addresses one pushd serves: each is a listener in every loop.
const maxListeners = 1024

// expandListen turns the values of --listen into addresses of one port each. A value may hold several, separated by
// commas or spaces, because an environment variable has no other way to repeat. An address twice is an error.
func expandListen(values []string) ([]string, error) {
	var out []string
	seen := make(map[string]bool)
	for _, value := range values {
		for _, s := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' }) {
			host, ports, err := splitAddress(s)
			if err != nil {
				return nil, err
			}
			for port := ports.first; port <= ports.last; port++ {
				address := net.JoinHostPort(host, strconv.Itoa(port))
				if seen[address] && port != 0 {
					return nil, fmt.Errorf("%s is there twice", address)
				}
				seen[address] = true
				out = append(out, address)
			}
			if len(out) > maxListeners {
				return nil, fmt.Errorf("more than %d addresses", maxListeners)
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no address, want HOST:PORT, :PORT or HOST:FIRST-LAST")
	}
	return out, nil
}

// portRange is first to last, both included.
type portRange struct{ first, last int }

// splitAddress reads HOST:PORT, :PORT or HOST:FIRST-LAST. Port 0 lets the kernel choose.
func splitAddress(s string) (host string, ports portRange, err error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return "", ports, fmt.Errorf("%q is not an address, want HOST:PORT, :PORT or HOST:FIRST-LAST (IPv6 in brackets)", s)
	}
	if !validHost(host) {
		return "", ports, fmt.Errorf("%q is not an address: bad host %q", s, host)
	}
	first, last, isRange := strings.Cut(port, "-")
	if !isRange {
		last = first
	}
	if ports.first, err = parsePort(first); err == nil {
		ports.last, err = parsePort(last)
	}
	switch {
	case err != nil:
		return "", ports, fmt.Errorf("%q is not an address: %w", s, err)
	case isRange && (ports.first == 0 || ports.last < ports.first):
		return "", ports, fmt.Errorf("%q is not an address: a range goes from a lower port, 1 or more, to a higher one", s)
	}
	return host, ports, nil
}

func parsePort(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("bad port %q, 0 to 65535 are allowed", s)
	}
	return int(n), nil
}

// validHost accepts nothing (all addresses), an IP address, and the letters of a host name (RFC 1123 2.1).
func validHost(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil || host == "" {
		return true
	}
	for _, r := range host {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
		default:
			return false
		}
	}
	return len(host) <= 253 && host[0] != '-' && host[0] != '.'
}

package route

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

const maxHostBytes = 254 // RFC 1035 2.3.4, and a final dot

var (
	errBrackets = errors.New("has [ without ]")
	errHostChar = errors.New("is no host name: letters, digits, - and _ between dots")
	errHostLong = errors.New("is too long for a host name")
	errASCII    = errors.New("is not in ASCII: write its xn-- form")
	errIPv4     = errors.New("ends in a number and is no IPv4 address")
	errIPv6     = errors.New("is no IPv6 address")
	errPort     = errors.New("has no port from 1 to 65535")
)

// parseHost returns a host in the form in which hosts are compared: lower case, IPv6 as RFC 5952 has it, no brackets.
func parseHost(s string) (string, error) {
	if strings.Contains(s, ":") {
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is6() || a.Zone() != "" && checkLabel(a.Zone()) != nil {
			return "", errIPv6
		}
		return a.String(), nil
	}
	if len(s) > maxHostBytes {
		return "", errHostLong
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, label := range labels {
		if err := checkLabel(label); err != nil {
			return "", err
		}
	}
	if last := labels[len(labels)-1]; '0' <= last[0] && last[0] <= '9' && strings.Trim(last, "0123456789") == "" {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return "", errIPv4
		}
		return a.String(), nil
	}
	return strings.ToLower(s), nil
}

func checkLabel(label string) error {
	for i := range len(label) {
		switch c := label[i]; {
		case c >= 0x80:
			return errASCII
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '_':
		case c == '-' && i > 0 && i < len(label)-1:
		default:
			return errHostChar
		}
	}
	if label == "" {
		return errHostChar
	}
	if len(label) > 63 {
		return errHostLong
	}
	return nil
}

// cutPort cuts HOST:PORT or [IPV6]:PORT. hasPort is false when there is no colon after the host.
func cutPort(s string) (host, port string, hasPort bool, err error) {
	if inner, bracketed := strings.CutPrefix(s, "["); bracketed {
		host, rest, closed := strings.Cut(inner, "]")
		if !closed {
			return "", "", false, errBrackets
		}
		if !strings.Contains(host, ":") {
			return "", "", false, errIPv6
		}
		port, hasPort = strings.CutPrefix(rest, ":")
		if rest != "" && !hasPort {
			return "", "", false, errPort
		}
		return host, port, hasPort, nil
	}
	host, port, hasPort = strings.Cut(s, ":")
	return host, port, hasPort, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || n == 0 || s[0] == '0' || s[0] == '+' {
		return 0, errPort
	}
	return uint16(n), nil
}

// checkAuthority checks HOST or HOST:PORT, as a Host field has it.
func checkAuthority(s string) error {
	host, port, hasPort, err := cutPort(s)
	if err != nil {
		return err
	}
	if _, err := parseHost(host); err != nil {
		return err
	}
	if !hasPort {
		return nil
	}
	_, err = parsePort(port)
	return err
}

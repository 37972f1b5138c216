package forwarded

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestParsePrefixes(t *testing.T) {
	tests := []struct{ value, want string }{
		{"10.0.0.0/8", "10.0.0.0/8"},
		{"192.0.2.7", "192.0.2.7/32"},
		{"0.0.0.0/0", "0.0.0.0/0"},
		{"::1", "::1/128"},
		{"fd00::/8", "fd00::/8"},
		{"::/0", "::/0"},
		{"::ffff:192.0.2.7", "192.0.2.7/32"},
		{"::ffff:10.0.0.0/104", "10.0.0.0/8"},
		{"::ffff:0.0.0.0/96", "0.0.0.0/0"},
	}
	var values, want []string
	for _, tt := range tests {
		values, want = append(values, tt.value), append(want, tt.want)
	}
	prefixes, err := ParsePrefixes(values)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range prefixes {
		if p.String() != want[i] {
			t.Errorf("ParsePrefixes(%q) = %v, want %v", values[i], p, want[i])
		}
	}
	if p, err := ParsePrefixes(nil); err != nil || len(p) != 0 {
		t.Errorf("ParsePrefixes(nil) = %v, %v, want none", p, err)
	}
}

func TestParsePrefixesRefuses(t *testing.T) {
	tests := []struct{ value, want string }{
		{"", "neither"},
		{"localhost", "neither"},
		{"10.0.0.0/33", "neither"},
		{"10.0.0.0/", "neither"},
		{"10.0.0/8", "neither"},
		{" 10.0.0.1", "neither"},
		{"10.0.0.1,10.0.0.2", "neither"},
		{"10.0.0.1:80", "neither"},
		{"10.0.0.5/8", "either 10.0.0.0/8 or 10.0.0.5 is meant"},
		{"fd00::1/64", "either fd00::/64 or fd00::1 is meant"},
		{"::ffff:10.0.0.5/104", "either 10.0.0.0/8 or 10.0.0.5 is meant"},
		{"::ffff:10.0.0.0/95", "at least 96 bits"},
		{"fe80::1%eth0", "zone"},
		{"fe80::%eth0/64", "zone"},
	}
	for _, tt := range tests {
		p, err := ParsePrefixes([]string{"10.0.0.0/8", tt.value})
		if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"`+tt.value+`"`) {
			t.Errorf("ParsePrefixes(%q) = %v, %v, want an error with the value and %q", tt.value, p, err, tt.want)
		}
	}
}

const trustedPeer = "10.0.0.1"

var trustedHere = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"), netip.MustParsePrefix("127.0.0.1/32"),
}

func TestClient(t *testing.T) {
	tests := []struct {
		name   string
		peer   string
		fields []string
		want   string
	}{
		{"no field", trustedPeer, nil, trustedPeer},
		{"peer is not trusted", "198.51.100.1", []string{"192.0.2.1"}, "198.51.100.1"},
		{"mapped peer is not trusted", "::ffff:198.51.100.1", []string{"192.0.2.1"}, "198.51.100.1"},
		{"mapped peer is trusted", "::ffff:10.0.0.1", []string{"192.0.2.1"}, "192.0.2.1"},
		{"one address", trustedPeer, []string{"192.0.2.1"}, "192.0.2.1"},
		{"what the client says stands before", trustedPeer, []string{"203.0.113.9, 192.0.2.1"}, "192.0.2.1"},
		{"proxies in between", trustedPeer, []string{"203.0.113.9, 192.0.2.1, 10.0.0.3,10.0.0.2"}, "192.0.2.1"},
		{"several fields", trustedPeer, []string{"203.0.113.9", "192.0.2.1, 10.0.0.3", "10.0.0.2"}, "192.0.2.1"},
		{"the client's own field", trustedPeer, []string{"127.0.0.1", "192.0.2.1"}, "192.0.2.1"},
		{"all are trusted", trustedPeer, []string{"10.0.0.4, 10.0.0.3", "10.0.0.2"}, "10.0.0.4"},
		{"spaces and tabs", trustedPeer, []string{" \t192.0.2.1 \t,\t 10.0.0.2 "}, "192.0.2.1"},
		{"port", trustedPeer, []string{"192.0.2.1:4711"}, "192.0.2.1"},
		{"IPv6", trustedPeer, []string{"2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", trustedPeer, []string{"[2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 and port", trustedPeer, []string{"[2001:db8::1]:4711, [fd00::1]:80"}, "2001:db8::1"},
		{"mapped", trustedPeer, []string{"::ffff:192.0.2.1, ::ffff:10.0.0.2"}, "192.0.2.1"},
		{"mapped and port", trustedPeer, []string{"[::ffff:192.0.2.1]:4711"}, "192.0.2.1"},

		{"nothing", trustedPeer, []string{""}, trustedPeer},
		{"nothing at the end", trustedPeer, []string{"192.0.2.1, "}, trustedPeer},
		{"nothing in the last field", trustedPeer, []string{"192.0.2.1", ""}, trustedPeer},
		{"nothing in the middle", trustedPeer, []string{"192.0.2.1,,10.0.0.2"}, "10.0.0.2"},
		{"unknown", trustedPeer, []string{"192.0.2.1, unknown"}, trustedPeer},
		{"unknown before a proxy", trustedPeer, []string{"192.0.2.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"obfuscated", trustedPeer, []string{"192.0.2.1, _gazonk, 10.0.0.2"}, "10.0.0.2"},
		{"unix socket", trustedPeer, []string{"192.0.2.1, unix:"}, trustedPeer},
		{"garbage beyond the client", trustedPeer, []string{"\xff\x00[, 192.0.2.1"}, "192.0.2.1"},
		{"IPv4 in brackets", trustedPeer, []string{"[192.0.2.1]"}, trustedPeer},
		{"no closing bracket", trustedPeer, []string{"[2001:db8::1"}, trustedPeer},
		{"empty port", trustedPeer, []string{"192.0.2.1:"}, trustedPeer},
		{"bad port", trustedPeer, []string{"192.0.2.1:65536"}, trustedPeer},
		{"bytes behind the bracket", trustedPeer, []string{"[2001:db8::1]4711"}, trustedPeer},
		{"zone", trustedPeer, []string{"fe80::1%eth0"}, trustedPeer},
		{"space inside", trustedPeer, []string{"192.0.2.1 10.0.0.2"}, trustedPeer},
		{"leading zero", trustedPeer, []string{"192.0.2.01"}, trustedPeer},

		{"longest chain", trustedPeer, []string{"192.0.2.1" + strings.Repeat(",10.0.0.2", maxHops-1)}, "192.0.2.1"},
		{"chain too long", trustedPeer, []string{"192.0.2.1,10.0.0.3" + strings.Repeat(",10.0.0.2", maxHops-1)}, "10.0.0.3"},
		{"chain too long, of fields", trustedPeer, append([]string{"192.0.2.1", "10.0.0.3"}, slices.Repeat([]string{"10.0.0.2"}, maxHops-1)...), "10.0.0.3"},
	}
	for _, tt := range tests {
		if got := Client(netip.MustParseAddr(tt.peer), fieldsOf(tt.fields), trustedHere); got.String() != tt.want {
			t.Errorf("%s: Client(%s, %q) = %v, want %s", tt.name, tt.peer, tt.fields, got, tt.want)
		}
	}
	if got := Client(netip.Addr{}, fieldsOf([]string{"192.0.2.1"}), trustedHere); got.IsValid() {
		t.Errorf("Client of an unknown peer = %v, want none", got)
	}
}

func fieldsOf(values []string) (fields [][]byte) {
	for _, v := range values {
		fields = append(fields, []byte(v))
	}
	return fields
}

func TestClientDoesNotAllocate(t *testing.T) {
	peer := netip.MustParseAddr(trustedPeer)
	fields := fieldsOf([]string{"203.0.113.9", "[2001:db8:1234:5678:9abc:def0:1234:5678]:4711, ::ffff:10.0.0.3", "10.0.0.2:80"})
	if n := testing.AllocsPerRun(100, func() { Client(peer, fields, trustedHere) }); n != 0 {
		t.Errorf("Client allocates %v times, want 0", n)
	}
}

// Whatever a field holds: the result is the peer or an address of the fields; that of what the last trusted proxy added
// cannot be changed by what the client puts before it; and fields are as good as one field with commas.
func FuzzClient(f *testing.F) {
	for _, s := range []string{"", "10.0.0.2", "192.0.2.1, 10.0.0.2", ",", "unknown", "[::1]:80\n_hidden", "127.0.0.1\n\n10.0.0.2,"} {
		f.Add(s)
	}
	peer := netip.MustParseAddr(trustedPeer)
	f.Fuzz(func(t *testing.T, s string) {
		values := strings.Split(s, "\n")
		got := Client(peer, fieldsOf(values), trustedHere)
		if joined := Client(peer, fieldsOf([]string{strings.Join(values, ",")}), trustedHere); joined != got {
			t.Errorf("Client(%q) = %v, as one field %v", values, got, joined)
		}
		if added := Client(peer, fieldsOf(append(values, "192.0.2.77, 10.0.0.2")), trustedHere); added.String() != "192.0.2.77" {
			t.Errorf("Client(%q and what proxies added) = %v, want 192.0.2.77", values, added)
		}
		if got != peer && !slices.ContainsFunc(strings.Split(strings.Join(values, ","), ","), func(hop string) bool {
			addr, ok := parseHop([]byte(hop))
			return ok && addr == got
		}) {
			t.Errorf("Client(%q) = %v, which does not stand there", values, got)
		}
	})
}

func BenchmarkClient(b *testing.B) {
	peer := netip.MustParseAddr(trustedPeer)
	fields := fieldsOf([]string{"203.0.113.9, 2001:db8::1, 10.0.0.2"})
	b.ReportAllocs()
	for b.Loop() {
		Client(peer, fields, trustedHere)
	}
}

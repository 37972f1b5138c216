package forwarded

import (
	"net/netip"
	"testing"
)

var addrs = []string{
	"", "0.0.0.0", "255.255.255.255", "1.2.3.4", "1.2.3", "1.2.3.4.5", "1.2.3.", ".1.2.3", "1..2.3", "256.1.1.1", "01.2.3.4",
	"00.0.0.0", "1.2.3.4 ", "1.2.3.1000000000000000000000", "1.2.3.-4", "+1.2.3.4", "0x1.2.3.4",
	"::", "::1", "1::", "1::2", "::ffff:1.2.3.4", "::1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4",
	"1:2:3:4:5:1.2.3.4", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7::", "::1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8::", "1::2:3:4:5:6:7:8",
	"::1:2:3:4:5:6:7:8", "1:2:3:4::5:6:7", "1::2::3", ":::", ":", "1:", ":1", "1:2:3:4:5:6:7:", "::1:", "12345::", "g::", "ABCD:ef01::",
	"::ffff:1.2.3.256", "::1.2.3.4:5", "::ffff:1.2.3", "fe80::1%eth0", "[::1]", "1.2.3.4::", "::ffff:0102:0304", "1:2:3:4:5:6:7:8 ",
}

// parseAddr accepts what netip.ParseAddr accepts, zones apart.
func TestParseAddrAsNetip(t *testing.T) {
	for _, s := range addrs {
		compareAddr(t, s)
	}
}

func FuzzParseAddr(f *testing.F) {
	for _, s := range addrs {
		f.Add(s)
	}
	f.Fuzz(compareAddr)
}

func compareAddr(t *testing.T, s string) {
	got, ok := parseAddr([]byte(s))
	want, err := netip.ParseAddr(s)
	if wantOK := err == nil && want.Zone() == ""; ok != wantOK || ok && got != want.Unmap() {
		t.Errorf("parseAddr(%q) = %v, %v, netip.ParseAddr = %v, %v", s, got, ok, want, err)
	}
}

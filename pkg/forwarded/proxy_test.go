package forwarded

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"net/netip"
	"strconv"
	"strings"
	"testing"
)

// Parts of version 2 headers.
const (
	v2Proxy = signature + "\x21"
	v2Local = signature + "\x20"
	block4  = "\xc0\x00\x02\x01" + "\x0a\x00\x00\x01" + "\xdc\x04" + "\x01\xbb"
	block6  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" + "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02" + "\xdc\x04" + "\x01\xbb"
	mapped6 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01" + "\xdc\x04" + "\x01\xbb"
	noop    = "\x04\x00\x03abc"
)

var goodHeaders = []struct{ name, header, src string }{
	{"v1 TCP4", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", "192.0.2.1:56324"},
	{"v1 TCP4, longest", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"},
	{"v1 TCP4, ports 0", "PROXY TCP4 192.0.2.1 10.0.0.1 0 0\r\n", "192.0.2.1:0"},
	{"v1 TCP6", "PROXY TCP6 2001:DB8::1 fd00::2 56324 443\r\n", "[2001:db8::1]:56324"},
	{"v1 TCP6, long form", "PROXY TCP6 2001:0db8:0000:0000:0000:0000:0000:0001 fd00:0000:0000:0000:0000:0000:0000:0002 56324 443\r\n", "[2001:db8::1]:56324"},
	{"v1 TCP6, mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.1 56324 443\r\n", "192.0.2.1:56324"},
	{"v1 UNKNOWN", "PROXY UNKNOWN\r\n", ""},
	{"v1 UNKNOWN with addresses", "PROXY UNKNOWN ffff::f ffff::f 65535 65535\r\n", ""},
	{"v1 UNKNOWN with anything", "PROXY UNKNOWN \x00\xff and so on\r\n", ""},
	{"v1 UNKNOWN, 107 bytes", "PROXY UNKNOWN " + strings.Repeat("f", 107-16) + "\r\n", ""},

	{"v2 TCP4", v2Proxy + "\x11\x00\x0c" + block4, "192.0.2.1:56324"},
	{"v2 TCP6", v2Proxy + "\x21\x00\x24" + block6, "[2001:db8::1]:56324"},
	{"v2 TCP6, mapped", v2Proxy + "\x21\x00\x24" + mapped6, "192.0.2.1:56324"},
	{"v2 TCP4 with extensions", v2Proxy + "\x11\x00\x18" + block4 + noop + noop, "192.0.2.1:56324"},
	{"v2 TCP4 with an empty extension", v2Proxy + "\x11\x00\x0f" + block4 + "\x04\x00\x00", "192.0.2.1:56324"},
	{"v2 TCP4 with a checksum", withSum(v2Proxy+"\x11\x00\x1f"+block4+noop+"\x03\x00\x04", noop), "192.0.2.1:56324"},
	{"v2 TCP6 with a checksum", withSum(v2Proxy+"\x21\x00\x2b"+block6+"\x03\x00\x04", ""), "[2001:db8::1]:56324"},
	{"v2 of the largest size", v2Proxy + "\x11\x0f\xf0" + block4 + "\x04\x0f\xe1" + strings.Repeat("x", maxHeader-fixedPart-12-vectorHead), "192.0.2.1:56324"},
	{"v2 LOCAL", v2Local + "\x00\x00\x00", ""},
	{"v2 LOCAL with addresses", v2Local + "\x11\x00\x0c" + block4, ""},
	{"v2 LOCAL of a strange family", v2Local + "\xff\x00\x03abc", ""},
	{"v2 unspecified", v2Proxy + "\x00\x00\x00", ""},
	{"v2 unspecified with bytes", v2Proxy + "\x00\x00\x03abc", ""},
	{"v2 unspecified transport", v2Proxy + "\x10\x00\x02ab", ""},
	{"v2 unspecified family", v2Proxy + "\x01\x00\x02ab", ""},
	{"v2 UDP4", v2Proxy + "\x12\x00\x0c" + block4, ""},
	{"v2 UDP6", v2Proxy + "\x22\x00\x24" + block6, ""},
	{"v2 UNIX stream", v2Proxy + "\x31\x00\xd8" + strings.Repeat("/", 216), ""},
	{"v2 UNIX datagram", v2Proxy + "\x32\x00\xde" + strings.Repeat("/", 216) + noop, ""},
}

// withSum appends to a header, which ends where the checksum belongs, the checksum and the rest.
func withSum(header, rest string) string {
	sum := crc32.Checksum([]byte(header+"\x00\x00\x00\x00"+rest), crc32.MakeTable(crc32.Castagnoli))
	return header + string(binary.BigEndian.AppendUint32(nil, sum)) + rest
}

// badHeaders are refused as soon as their last byte is there, and not before.
var badHeaders = []struct {
	name, header string
	want         error
}{
	{"a request", "G", ErrNone},
	{"POST", "PO", ErrNone},
	{"PROPFIND", "PROP", ErrNone},
	{"PROXYING", "PROXYI", ErrNone},
	{"lower case", "p", ErrNone},
	{"TLS", "\x16", ErrNone},
	{"NUL", "\x00", ErrNone},
	{"empty line before a request", "\r\nG", ErrNone},
	{"two empty lines before a request", "\r\n\r\nG", ErrNone},
	{"almost the signature", signature[:11] + "\r", ErrNone},

	{"v1 without end", "PROXY UNKNOWN " + strings.Repeat("f", 92), errLine},
	{"v1 without CR", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n", errLineEnd},
	{"v1 without LF", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\rG", errLineEnd},
	{"v1 two CR", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\r", errLineEnd},
	{"v1 nothing", "PROXY \r\n", errProtocol},
	{"v1 a request", "PROXY / HTTP/1.1\r\n", errProtocol},
	{"v1 UDP4", "PROXY UDP4 192.0.2.1 10.0.0.1 56324 443\r\n", errProtocol},
	{"v1 lower case", "PROXY tcp4 192.0.2.1 10.0.0.1 56324 443\r\n", errProtocol},
	{"v1 UNKNOWN and more", "PROXY UNKNOWNS\r\n", errProtocol},
	{"v1 two spaces", "PROXY  TCP4 192.0.2.1 10.0.0.1 56324 443\r\n", errProtocol},
	{"v1 space before the address", "PROXY TCP4  192.0.2.1 10.0.0.1 56324 443\r\n", errParts},
	{"v1 space at the end", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n", errParts},
	{"v1 no port", "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n", errParts},
	{"v1 no addresses", "PROXY TCP4\r\n", errParts},
	{"v1 tabs", "PROXY TCP4 192.0.2.1\t10.0.0.1 56324 443\r\n", errParts},
	{"v1 IPv6 in TCP4", "PROXY TCP4 2001:db8::1 10.0.0.1 56324 443\r\n", errLineAddr},
	{"v1 mapped in TCP4", "PROXY TCP4 ::ffff:192.0.2.1 10.0.0.1 56324 443\r\n", errLineAddr},
	{"v1 IPv4 in TCP6", "PROXY TCP6 192.0.2.1 fd00::2 56324 443\r\n", errLineAddr},
	{"v1 IPv4 as destination of TCP6", "PROXY TCP6 fd00::2 192.0.2.1 56324 443\r\n", errLineAddr},
	{"v1 leading zero", "PROXY TCP4 192.0.2.01 10.0.0.1 56324 443\r\n", errLineAddr},
	{"v1 three numbers", "PROXY TCP4 192.0.2 10.0.0.1 56324 443\r\n", errLineAddr},
	{"v1 bad destination", "PROXY TCP4 192.0.2.1 10.0.0.256 56324 443\r\n", errLineAddr},
	{"v1 zone", "PROXY TCP6 fe80::1%1 fd00::2 56324 443\r\n", errLineAddr},
	{"v1 empty address", "PROXY TCP4  10.0.0.1 56324 443\r\n", errLineAddr},
	{"v1 port too large", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n", errLinePort},
	{"v1 port with a leading zero", "PROXY TCP4 192.0.2.1 10.0.0.1 056 443\r\n", errLinePort},
	{"v1 negative port", "PROXY TCP4 192.0.2.1 10.0.0.1 -1 443\r\n", errLinePort},
	{"v1 bad port of the destination", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 x\r\n", errLinePort},
	{"v1 empty port", "PROXY TCP4 192.0.2.1 10.0.0.1 56324 \r\n", errLinePort},

	{"v2 version 1", signature + "\x11", errVersion},
	{"v2 version 3", signature + "\x31", errVersion},
	{"v2 command 2", signature + "\x22", errCommand},
	{"v2 family 4", v2Proxy + "\x41", errFamily},
	{"v2 transport 3", v2Proxy + "\x13", errTransport},
	{"v2 too long", v2Proxy + "\x11\x0f\xf1", errLong},
	{"v2 LOCAL too long", v2Local + "\x00\xff\xff", errLong},
	{"v2 TCP4 too short", v2Proxy + "\x11\x00\x0b" + block4[:11], errAddresses},
	{"v2 TCP4 without addresses", v2Proxy + "\x11\x00\x00", errAddresses},
	{"v2 TCP6 too short", v2Proxy + "\x21\x00\x0c" + block4, errAddresses},
	{"v2 UDP6 too short", v2Proxy + "\x22\x00\x0c" + block4, errAddresses},
	{"v2 UNIX too short", v2Proxy + "\x31\x00\x0c" + block4, errAddresses},
	{"v2 half an extension", v2Proxy + "\x11\x00\x0e" + block4 + "\x04\x00", errVector},
	{"v2 extension beyond the end", v2Proxy + "\x11\x00\x11" + block4 + "\x04\x00\x03ab", errVector},
	{"v2 wrong checksum", v2Proxy + "\x11\x00\x13" + block4 + "\x03\x00\x04\x01\x02\x03\x04", errSum},
	{"v2 wrong checksum of UDP4", v2Proxy + "\x12\x00\x13" + block4 + "\x03\x00\x04\x01\x02\x03\x04", errSum},
	{"v2 short checksum", v2Proxy + "\x11\x00\x12" + block4 + "\x03\x00\x03\x01\x02\x03", errSumForm},
	{"v2 two checksums", withSum(v2Proxy+"\x11\x00\x1a"+block4+"\x03\x00\x04", "\x03\x00\x04\x00\x00\x00\x00"), errSumForm},
}

func TestParseProxyAtEverySplit(t *testing.T) {
	const request = "GET / HTTP/1.1\r\n\r\n"
	for _, tt := range goodHeaders {
		whole := []byte(tt.header + request)
		for i := range len(tt.header) {
			if n, src, err := ParseProxy(whole[:i]); err != ErrShort || n != 0 || src.IsValid() {
				t.Fatalf("%s, first %d bytes: %d, %v, %v, want ErrShort", tt.name, i, n, src, err)
			}
		}
		for i := len(tt.header); i <= len(whole); i++ {
			n, src, err := ParseProxy(whole[:i])
			if err != nil || n != len(tt.header) || src.IsValid() != (tt.src != "") || src.IsValid() && src.String() != tt.src {
				t.Fatalf("%s, first %d bytes: %d, %v, %v, want %d, %s", tt.name, i, n, src, err, len(tt.header), tt.src)
			}
		}
	}
}

func TestParseProxyRefusesAtTheFirstWrongByte(t *testing.T) {
	for _, tt := range badHeaders {
		whole := []byte(tt.header + "\r\n and more")
		for i := range len(tt.header) {
			if n, src, err := ParseProxy(whole[:i]); err != ErrShort || n != 0 || src.IsValid() {
				t.Errorf("%s, first %d bytes: %d, %v, %v, want ErrShort", tt.name, i, n, src, err)
			}
		}
		for _, b := range [][]byte{whole[:len(tt.header)], whole} {
			if n, src, err := ParseProxy(b); err != tt.want || n != 0 || src.IsValid() {
				t.Errorf("%s: ParseProxy(%q) = %d, %v, %v, want %v", tt.name, b, n, src, err, tt.want)
			}
		}
	}
}

// With a checksum no changed byte makes another address of a header, but for the one that says that there is a checksum.
func TestChecksumCoversTheHeader(t *testing.T) {
	whole := withSum(v2Proxy+"\x11\x00\x19"+block4+noop+"\x03\x00\x04", "")
	if _, src, err := ParseProxy([]byte(whole)); err != nil || !src.IsValid() {
		t.Fatalf("ParseProxy = %v, %v, want an address", src, err)
	}
	for i := range whole {
		for bit := range 8 {
			b := []byte(whole)
			b[i] ^= 1 << bit
			if n, src, err := ParseProxy(b); err == nil && src.IsValid() && i != len(whole)-len("\x03\x00\x04")-4 {
				t.Errorf("bit %d of byte %d changed: ParseProxy = %d, %v, want no address", bit, i, n, src)
			}
		}
	}
}

func TestParseProxyDoesNotAllocate(t *testing.T) {
	for _, tt := range goodHeaders {
		b := []byte(tt.header)
		if n := testing.AllocsPerRun(10, func() { ParseProxy(b) }); n != 0 {
			t.Errorf("%s: ParseProxy allocates %v times, want 0", tt.name, n)
		}
	}
	for _, tt := range badHeaders {
		b := []byte(tt.header)
		if n := testing.AllocsPerRun(10, func() { ParseProxy(b) }); n != 0 {
			t.Errorf("%s: ParseProxy allocates %v times, want 0", tt.name, n)
		}
	}
}

// In pieces a header means what it means as a whole; what follows it does not matter; and refusals are told in their words.
func FuzzParseProxy(f *testing.F) {
	for _, tt := range goodHeaders {
		f.Add([]byte(tt.header))
	}
	for _, tt := range badHeaders {
		f.Add([]byte(tt.header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, src, err := ParseProxy(b)
		for i := range b {
			pn, psrc, perr := ParseProxy(b[:i+1])
			if perr == ErrShort && i+1 < len(b) {
				continue
			}
			if pn != n || psrc != src || perr != err {
				t.Fatalf("ParseProxy(%q) = %d, %v, %v, of its first %d bytes %d, %v, %v", b, n, src, err, i+1, pn, psrc, perr)
			}
			break
		}
		var refused *Error
		switch {
		case err == nil:
			checkParsed(t, b[:n], src)
		case n != 0 || src != netip.AddrPort{}:
			t.Errorf("ParseProxy(%q) = %d, %v beside %v", b, n, src, err)
		case err == ErrShort && len(b) >= maxHeader:
			t.Errorf("ParseProxy of %d bytes wants more", len(b))
		case err == ErrNone && (strings.HasPrefix(string(b), lineStart) || strings.HasPrefix(string(b), signature)):
			t.Errorf("ParseProxy(%q) = %v", b, err)
		case err != ErrShort && err != ErrNone && (!errors.As(err, &refused) || refused.Text == ""):
			t.Errorf("ParseProxy(%q) = %v, want an *Error", b, err)
		}
	})
}

// checkParsed compares with a plain reading of an accepted header.
func checkParsed(t *testing.T, header []byte, src netip.AddrPort) {
	t.Helper()
	var want netip.AddrPort
	if line, ok := strings.CutSuffix(string(header), "\r\n"); ok && strings.HasPrefix(line, lineStart) {
		if parts := strings.Split(line, " "); parts[1] != "UNKNOWN" {
			port, err := strconv.ParseUint(parts[4], 10, 16)
			if err != nil {
				t.Errorf("ParseProxy(%q) = %v: %v", header, src, err)
			}
			want = netip.AddrPortFrom(netip.MustParseAddr(parts[2]).Unmap(), uint16(port))
		}
	} else if header[12] == 0x21 && (header[13] == tcp4 || header[13] == tcp6) {
		size := 4 * int(header[13]>>4) * int(header[13]>>4) // 4 and 16
		addr, _ := netip.AddrFromSlice(header[16 : 16+size])
		want = netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(header[16+2*size:]))
	}
	if src != want {
		t.Errorf("ParseProxy(%q) = %v, want %v", header, src, want)
	}
}

func BenchmarkParseProxy(b *testing.B) {
	for _, i := range []int{0, 3, 10, 11, 15} {
		b.Run(goodHeaders[i].name, func(b *testing.B) {
			header := []byte(goodHeaders[i].header)
			b.ReportAllocs()
			for b.Loop() {
				ParseProxy(header)
			}
		})
	}
}

package forwarded

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const (
	lineStart = "PROXY "
	maxLine   = 107 // bytes of a version 1 header, CR LF included

	signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixedPart = 16   // bytes of a version 2 header before the addresses
	maxHeader = 4096 // bytes of a version 2 header: senders keep to 536, but for a client's TLS certificate
)

// ParseProxy reads the header of the PROXY protocol, version 1 or 2, at the beginning of b, which holds all that the
// connection has brought so far. It returns the size of the header and the source of the connection that the proxy forwards.
// The source is the zero AddrPort when the peer itself is the client (LOCAL, such as a proxy's health check) and when the proxy
// does not know the client or names no TCP socket: then the peer's address is to be used.
//
// Otherwise it returns ErrShort; ErrNone when no header begins so, which the first bytes that differ tell; or an *Error.
// A checksum is verified where there is one, except in a LOCAL header, of which the protocol says to discard everything.
// Other extensions are skipped.
func ParseProxy(b []byte) (n int, src netip.AddrPort, err error) {
	for _, start := range []string{lineStart, signature} {
		switch k := min(len(b), len(start)); {
		case string(b[:k]) != start[:k]:
		case k < len(start):
			return 0, src, ErrShort
		case start == lineStart:
			return parseLine(b)
		default:
			return parseBinary(b)
		}
	}
	return 0, src, ErrNone
}

// parseLine reads a version 1 header. Nothing is decoded before the line is complete (section 2.1).
func parseLine(b []byte) (n int, src netip.AddrPort, err error) {
	end := bytes.IndexAny(b[:min(len(b), maxLine-1)], "\r\n")
	switch {
	case end < 0 && len(b) < maxLine-1:
		return 0, src, ErrShort
	case end < 0:
		return 0, src, errLine
	case b[end] == '\n':
		return 0, src, errLineEnd
	case end+1 == len(b):
		return 0, src, ErrShort
	case b[end+1] != '\n':
		return 0, src, errLineEnd
	}
	protocol, rest, _ := bytes.Cut(b[len(lineStart):end], space)
	switch string(protocol) {
	case "UNKNOWN": // the rest of the line is to be ignored
	case "TCP4":
		src, err = parseEndpoints(rest, false)
	case "TCP6":
		src, err = parseEndpoints(rest, true)
	default:
		err = errProtocol
	}
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return end + 2, src, nil
}

var space = []byte{' '}

// parseEndpoints reads the addresses and ports of source and destination and returns the source.
func parseEndpoints(b []byte, six bool) (src netip.AddrPort, err error) {
	if bytes.Count(b, space) != 3 {
		return src, errParts
	}
	srcAddr, b, _ := bytes.Cut(b, space)
	dstAddr, b, _ := bytes.Cut(b, space)
	srcPort, dstPort, _ := bytes.Cut(b, space)
	for _, text := range [...][]byte{srcAddr, dstAddr} {
		if _, ok := parseAddr(text); !ok || six != (bytes.IndexByte(text, ':') >= 0) {
			return src, errLineAddr
		}
	}
	port, ok := parsePort(srcPort)
	if _, dstOK := parsePort(dstPort); !ok || !dstOK {
		return src, errLinePort
	}
	addr, _ := parseAddr(srcAddr)
	return netip.AddrPortFrom(addr, port), nil
}

// The 14th byte of a version 2 header: the address family in the high half, the transport in the low half.
const (
	tcp4         = 0x11
	udp4         = 0x12
	tcp6         = 0x21
	udp6         = 0x22
	unixStream   = 0x31
	unixDatagram = 0x32
)

// parseBinary reads a version 2 header. What is wrong in its fixed part is told as soon as it is there.
func parseBinary(b []byte) (n int, src netip.AddrPort, err error) {
	rest := b[len(signature):]
	if len(rest) == 0 {
		return 0, src, ErrShort
	}
	version, command := rest[0]>>4, rest[0]&0xf
	switch {
	case version != 2:
		return 0, src, errVersion
	case command > 1:
		return 0, src, errCommand
	case len(rest) == 1:
		return 0, src, ErrShort
	}
	family, local := rest[1], command == 0
	switch { // of a LOCAL header the family is to be ignored (section 2.2)
	case !local && family>>4 > 3:
		return 0, src, errFamily
	case !local && family&0xf > 2:
		return 0, src, errTransport
	case len(rest) < 4:
		return 0, src, ErrShort
	}
	n = fixedPart + int(binary.BigEndian.Uint16(rest[2:]))
	switch {
	case n > maxHeader:
		return 0, src, errLong
	case len(b) < n:
		return 0, src, ErrShort
	case local:
		return n, src, nil
	}
	if src, err = parseBlock(b[:n:n], family); err != nil {
		return 0, src, err
	}
	return n, src, nil
}

// parseBlock reads what follows the fixed part of a complete header. Of sockets other than TCP there is nothing to be learnt:
// the protocol has them treated like an unknown client.
func parseBlock(header []byte, family byte) (src netip.AddrPort, err error) {
	block, size := header[fixedPart:], 0
	switch family {
	case tcp4, udp4:
		size = 4 + 4 + 2 + 2
	case tcp6, udp6:
		size = 16 + 16 + 2 + 2
	case unixStream, unixDatagram:
		size = 108 + 108
	default: // one half is unspecified, and so is where extensions would begin
		return src, nil
	}
	if len(block) < size {
		return src, errAddresses
	}
	if err := checkSum(header, fixedPart+size); err != nil {
		return src, err
	}
	switch family {
	case tcp4:
		src = netip.AddrPortFrom(netip.AddrFrom4([4]byte(block)), binary.BigEndian.Uint16(block[8:]))
	case tcp6:
		src = netip.AddrPortFrom(netip.AddrFrom16([16]byte(block)).Unmap(), binary.BigEndian.Uint16(block[32:]))
	}
	return src, nil
}

const (
	vectorHead = 3    // bytes of an extension's type and length
	typeSum    = 0x03 // PP2_TYPE_CRC32C
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	zeros      [4]byte
)

// checkSum walks the extensions, which begin at pos, and verifies the checksum if there is one: it is made over the whole
// header with zeros in its own place (section 2.2.3).
func checkSum(header []byte, pos int) error {
	sum := 0 // where its value is
	for pos < len(header) {
		if pos+vectorHead > len(header) {
			return errVector
		}
		kind, value := header[pos], pos+vectorHead
		if pos = value + int(binary.BigEndian.Uint16(header[pos+1:])); pos > len(header) {
			return errVector
		}
		if kind != typeSum {
			continue
		}
		if sum != 0 || pos-value != len(zeros) {
			return errSumForm
		}
		sum = value
	}
	if sum == 0 {
		return nil
	}
	got := crc32.Update(0, castagnoli, header[:sum])
	got = crc32.Update(got, castagnoli, zeros[:])
	got = crc32.Update(got, castagnoli, header[sum+len(zeros):])
	if got != binary.BigEndian.Uint32(header[sum:]) {
		return errSum
	}
	return nil
}

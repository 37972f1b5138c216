package metrics

import (
	"strconv"
	"time"
)

// maxPacket is the bytes of a datagram that no common network splits: an Ethernet frame of 1,500 less IPv6, UDP and a tunnel.
const maxPacket = 1432

// packets joins lines of the statsd protocol into datagrams.
type packets struct {
	prefix string // of every name, with its dot
	done   [][]byte
	open   []byte // the datagram in the making
	line   []byte // scratch
}

// gauge adds what something is now. A value below zero counts as zero: with a sign, statsd takes it for a change.
func (p *packets) gauge(name string, v float64) {
	p.begin(name)
	p.line = strconv.AppendFloat(p.line, max(v, 0), 'f', -1, 64)
	p.end("g")
}

// count adds how often something happened since the last datagrams.
func (p *packets) count(name string, n uint64) {
	p.begin(name)
	p.line = strconv.AppendUint(p.line, n, 10)
	p.end("c")
}

// timer adds how long something took.
func (p *packets) timer(name string, d time.Duration) {
	p.begin(name)
	p.line = strconv.AppendFloat(p.line, float64(d)/float64(time.Millisecond), 'f', 3, 64)
	p.end("ms")
}

func (p *packets) begin(name string) {
	p.line = append(append(append(p.line[:0], p.prefix...), name...), ':')
}

func (p *packets) end(kind string) {
	p.line = append(append(p.line, '|'), kind...)
	switch {
	case len(p.open) == 0:
	case len(p.open)+1+len(p.line) > maxPacket:
		p.done, p.open = append(p.done, p.open), nil
	default:
		p.open = append(p.open, '\n')
	}
	p.open = append(p.open, p.line...)
}

// take returns the datagrams.
func (p *packets) take() [][]byte {
	if len(p.open) > 0 {
		p.done, p.open = append(p.done, p.open), nil
	}
	return p.done
}

package forwarded

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"sync"
)

const (
	shardBits  = 6
	compactMin = 32 // entries: a smaller map is not worth building anew
)

// PerAddress bounds the connections of one client address: an IPv4 address, or an IPv6 prefix of 64 bits, of which a host
// can use every address. It is safe for all goroutines.
type PerAddress struct {
	max    uint32
	mix    uint64 // odd, and unknown to clients: it spreads keys over the shards (multiply-shift hashing)
	shards [1 << shardBits]countShard
}

// countShard counts some of the addresses. One map and one mutex are as fast for two loops, but giving the memory of a
// million addresses back then stops one of them for 27 ms.
type countShard struct {
	mu   sync.Mutex
	n    map[uint64]uint32 // connections, by key
	peak int               // addresses in n since it was built
	_    [40]byte          // the rest of a cache line
}

// NewPerAddress returns a PerAddress that lets max connections of an address in; 0 means any number, and nothing is
// counted.
func NewPerAddress(max int) *PerAddress {
	return &PerAddress{max: uint32(max), mix: rand.Uint64() | 1}
}

// Enter counts a connection of addr in, or reports false when there are as many as may be. The zero Addr is not counted and
// always enters.
func (p *PerAddress) Enter(addr netip.Addr) bool {
	if p.max == 0 || !addr.IsValid() {
		return true
	}
	k := key(addr)
	s := p.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.n[k]
	if n >= p.max {
		return false
	}
	if s.n == nil {
		s.n = map[uint64]uint32{}
	}
	s.n[k] = n + 1
	s.peak = max(s.peak, len(s.n))
	return true
}

// Leave counts out a connection of addr for which Enter has reported true.
func (p *PerAddress) Leave(addr netip.Addr) {
	if p.max == 0 || !addr.IsValid() {
		return
	}
	k := key(addr)
	s := p.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.n[k]; n > 1 {
		s.n[k] = n - 1
		return
	}
	delete(s.n, k)
	if s.peak >= compactMin && len(s.n) < s.peak/4 { // a map keeps the memory of its peak
		n := make(map[uint64]uint32, len(s.n))
		for k, v := range s.n {
			n[k] = v
		}
		s.n, s.peak = n, len(n)
	}
}

func (p *PerAddress) shard(k uint64) *countShard {
	return &p.shards[k*p.mix>>(64-shardBits)]
}

// key returns the first half of an IPv6 address. IPv4 addresses stand among them as the prefixes 0:ffff:a.b.c.d/64, which
// no host has.
func key(addr netip.Addr) uint64 {
	if addr = addr.Unmap(); addr.Is4() {
		a := addr.As4()
		return 0xffff<<32 | uint64(binary.BigEndian.Uint32(a[:]))
	}
	a := addr.As16()
	return binary.BigEndian.Uint64(a[:])
}

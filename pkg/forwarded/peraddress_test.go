package forwarded

import (
	"fmt"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func TestPerAddress(t *testing.T) {
	tests := []struct{ a, b string }{ // that are counted together
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.1", "::ffff:192.0.2.1"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"},
		{"::1", "::2"},
	}
	for _, tt := range tests {
		p, a, b := NewPerAddress(2), netip.MustParseAddr(tt.a), netip.MustParseAddr(tt.b)
		if !p.Enter(a) || !p.Enter(b) {
			t.Errorf("%v and %v may not enter, want 2 to", a, b)
		}
		if p.Enter(a) || p.Enter(b) {
			t.Errorf("%v or %v enters as the third, want 2 to", a, b)
		}
		p.Leave(b)
		if !p.Enter(a) || p.Enter(a) {
			t.Errorf("%v: want exactly one more to enter after %v has left", a, b)
		}
	}
}

func TestPerAddressKeepsAddressesApart(t *testing.T) {
	p := NewPerAddress(1)
	for _, s := range []string{"192.0.2.1", "192.0.2.2", "0.0.0.0", "::", "2001:db8:1:2::1", "2001:db8:1:3::1", "0:fffe:c000:201::", "ffff::"} {
		if !p.Enter(netip.MustParseAddr(s)) {
			t.Errorf("%s may not enter, want it to be the first of its kind", s)
		}
	}
}

func TestPerAddressOff(t *testing.T) {
	p, addr := NewPerAddress(0), netip.MustParseAddr("192.0.2.1")
	for range 1000 {
		if !p.Enter(addr) {
			t.Fatal("Enter = false, want any number to enter")
		}
	}
	p.Leave(addr)
	if n := p.addresses(); n != 0 {
		t.Errorf("%d addresses are counted, want none", n)
	}
}

// The unknown address is nobody's, and who has not entered cannot leave room.
func TestPerAddressOfNobody(t *testing.T) {
	p := NewPerAddress(1)
	for range 3 {
		if !p.Enter(netip.Addr{}) {
			t.Error("Enter(zero Addr) = false, want true")
		}
	}
	p.Leave(netip.Addr{})
	addr := netip.MustParseAddr("192.0.2.1")
	p.Leave(addr)
	if !p.Enter(addr) || p.Enter(addr) {
		t.Error("after a Leave of nobody: want exactly one to enter")
	}
}

func (p *PerAddress) addresses() (n int) {
	for i := range p.shards {
		n += len(p.shards[i].n)
	}
	return n
}

func TestPerAddressOfManyGoroutines(t *testing.T) {
	t.Parallel()
	const max, goroutines, rounds = 3, 8, 2000
	p := NewPerAddress(max)
	var inside [5]atomic.Int32
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range rounds {
				which := (g + i) % len(inside)
				addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(which)})
				if !p.Enter(addr) {
					continue
				}
				if n := inside[which].Add(1); n > max {
					t.Errorf("%d are in from %v, want at most %d", n, addr, max)
				}
				runtime.Gosched()
				inside[which].Add(-1)
				p.Leave(addr)
			}
		})
	}
	wg.Wait()
	if n := p.addresses(); n != 0 {
		t.Errorf("%d addresses are counted after all have left, want none", n)
	}
}

func TestPerAddressGivesMemoryBack(t *testing.T) {
	const n = 200_000
	before := heap()
	p := NewPerAddress(10)
	for i := range n {
		p.Enter(numbered(i))
	}
	full := heap() - before
	for i := range n - 100 {
		p.Leave(numbered(i))
	}
	if left := heap() - before; left > full/20 {
		t.Errorf("%d bytes are in use for 100 addresses after %d for %d, want hardly any", left, full, n)
	}
	for i := range n {
		if in := i >= n-100; p.shard(key(numbered(i))).n[key(numbered(i))] != map[bool]uint32{true: 1}[in] {
			t.Fatalf("address %d is counted wrong after the maps were built anew", i)
		}
	}
	runtime.KeepAlive(p)
}

func numbered(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestPerAddressDoesNotAllocate(t *testing.T) {
	p, addr := NewPerAddress(2), netip.MustParseAddr("2001:db8::1")
	p.Enter(addr)
	if n := testing.AllocsPerRun(100, func() { p.Enter(addr); p.Leave(addr) }); n != 0 {
		t.Errorf("Enter and Leave allocate %v times, want 0", n)
	}
}

func BenchmarkPerAddress(b *testing.B) {
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprintf("addresses=%d", n), func(b *testing.B) {
			p := NewPerAddress(1 << 30)
			before := heap()
			for i := range n {
				p.Enter(numbered(i))
			}
			size := float64(heap()-before) / float64(n)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i += 7919 {
					addr := numbered(i % n)
					p.Enter(addr)
					p.Leave(addr)
				}
			})
			b.ReportMetric(size, "B/addr")
		})
	}
}

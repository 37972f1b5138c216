package netloop

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"holdfast/pkg/stats"
)

func TestPeerAndLocal(t *testing.T) {
	tests := []struct{ name, listen, dial, want string }{
		{"IPv4", "127.0.0.1:0", "127.0.0.1", "127.0.0.1"},
		{"IPv4 at a socket of both families", ":0", "127.0.0.2", "127.0.0.2"},
		{"IPv6", "[::1]:0", "::1", "::1"},
	}
	r, _ := startLoop(t, nil)
	opened := 0
	for _, tt := range tests {
		fds, bound, err := Bind(tt.listen, 1, false)
		if err != nil {
			if tt.want == "::1" {
				t.Logf("no IPv6 here: %v", err)
				continue
			}
			t.Fatal(err)
		}
		if err := r.loop.Listen(fds[0]); err != nil {
			t.Fatal(err)
		}
		conn := dial(t, net.JoinHostPort(tt.dial, fmt.Sprint(bound.Port())))
		c := r.connection(t, opened)
		opened++
		var peer, local netip.AddrPort
		r.call(func() { peer, local = r.loop.Peer(c), r.loop.Local(c) })
		if want := conn.LocalAddr().(*net.TCPAddr).AddrPort(); peer != netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) {
			t.Errorf("%s: Peer = %v, want %v", tt.name, peer, want)
		}
		if want := netip.AddrPortFrom(netip.MustParseAddr(tt.want), bound.Port()); local != want {
			t.Errorf("%s: Local = %v, want %v", tt.name, local, want)
		}
		r.call(func() {
			r.loop.Close(c, stats.CloseDone)
			peer, local = r.loop.Peer(c), r.loop.Local(c)
		})
		if peer.IsValid() || local.IsValid() {
			t.Errorf("%s: closed: Peer = %v, Local = %v, want none", tt.name, peer, local)
		}
	}
}

// A client that has reset the connection has no address any more.
func TestPeerAfterReset(t *testing.T) {
	r, addr := startLoop(t, nil)
	conn := dial(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		if err := conn.SetLinger(0); err != nil {
			t.Error(err)
		}
		conn.Close()
		if peer := r.loop.Peer(c); peer.IsValid() {
			t.Errorf("Peer = %v, want none", peer)
		}
	})
}

func TestPeerDoesNotAllocate(t *testing.T) {
	r, addr := startLoop(t, nil)
	dial(t, addr)
	c := r.connection(t, 0)
	r.call(func() {
		if n := testing.AllocsPerRun(100, func() { r.loop.Peer(c) }); n != 0 {
			t.Errorf("Peer allocates %v times, want 0", n)
		}
	})
}

func BenchmarkPeer(b *testing.B) {
	r, addr := startLoop(b, nil)
	dial(b, addr)
	c := r.connection(b, 0)
	r.call(func() {
		b.ReportAllocs()
		for b.Loop() {
			r.loop.Peer(c)
		}
	})
}

package main

import (
	"net"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/pkg/stats"
	"holdfast/pkg/wire"
)

// fakePushd answers stats-requests on a control socket with what snapshot returns.
type fakePushd struct {
	path     string
	snapshot func(n int) *stats.Snapshot // for the n-th request, from 0; nil leaves it unanswered

	wg sync.WaitGroup
	ln net.Listener

	mu    sync.Mutex
	conns []net.Conn
	n     int
}

// newFake starts a fake in a new directory.
func newFake(t *testing.T, snapshot func(n int) *stats.Snapshot) *fakePushd {
	t.Helper()
	f := &fakePushd{path: filepath.Join(t.TempDir(), "pushd.sock"), snapshot: snapshot}
	f.start(t)
	t.Cleanup(f.stop)
	return f
}

func (f *fakePushd) start(t *testing.T) {
	t.Helper()
	ln, err := net.Listen("unix", f.path)
	if err != nil {
		t.Fatal(err)
	}
	f.ln = ln
	f.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.conns = append(f.conns, c)
			f.mu.Unlock()
			f.wg.Go(func() {
				defer c.Close()
				f.serve(c)
			})
		}
	})
}

// stop closes the socket and everybody on it.
func (f *fakePushd) stop() {
	f.ln.Close()
	f.mu.Lock()
	for _, c := range f.conns {
		c.Close()
	}
	f.conns = nil
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fakePushd) serve(c net.Conn) {
	r := wire.NewReader(c, wire.MaxFrame)
	if _, err := wire.ReadHello(r); err != nil {
		return
	}
	if _, err := c.Write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Program: "pushd test", PID: 77, MaxFrame: wire.MaxFrame})); err != nil {
		return
	}
	for {
		payload, err := r.Next()
		if err != nil {
			return
		}
		m, err := wire.ParseMessage(payload)
		if err != nil || m.Type != wire.TypeStatsRequest {
			return
		}
		id, err := m.RequestID()
		if err != nil {
			return
		}
		f.mu.Lock()
		n := f.n
		f.n++
		f.mu.Unlock()
		s := f.snapshot(n)
		if s == nil {
			continue
		}
		if _, err := c.Write(wire.AppendCold(nil, wire.TypeStatsSnapshot, &wire.Snapshot{ID: id, Snapshot: *s})); err != nil {
			return
		}
	}
}

// sample is a snapshot whose counters grow by known steps, two seconds of uptime apart.
func sample(n int) *stats.Snapshot {
	k := uint64(n)
	return &stats.Snapshot{
		Connections:   stats.Connections{Total: 123456, Events: 100000, Stream: 23000, Poll: 3, WS: 2, HTTP: 451},
		Accepted:      200000 + 20*k,
		Closed:        map[string]uint64{"client": 70000 + 2*k, "drain": 6544},
		Channels:      1000,
		Subscriptions: 123005,
		Published:     10 + k,
		Delivered:     5000 + 250000*k,
		Dropped:       map[string]uint64{"queue-full": 7 * k, "queue-memory": 1},
		QueuedBytes:   300 << 10,
		BytesOut:      1 << 30,
		RSSBytes:      64 << 20,
		RSSAnonBytes:  24 << 20,
		CPUSeconds:    12.34,
		FDs:           stats.FDs{Used: 123480, Limit: 200000},
		UptimeSeconds: 93784.5 + 2*float64(n),
		Goroutines:    17,
		Latency:       stats.Durations{Count: 5000, P50: 128, P99: 2048, P999: 65536, Max: 1 << 20},
		Lag:           stats.Durations{Count: 8001, P50: 16, P99: 256, P999: 1024, Max: 4096},
		HeapBytes:     10 << 20,
		HeapGoalBytes: 20 << 20,
		GC:            stats.GC{Cycles: 3, Pauses: stats.Durations{Count: 6, P50: 20, P99: 40, P999: 40, Max: 40}},
		Kernel:        stats.Kernel{TCPMemBytes: 100 << 20, TCPMemLimit: 2 << 30, TCPSockets: 123470, ListenOverflows: 5},
		PID:           77,
		Version:       "1.2.3",
		Loops: []stats.LoopSnapshot{
			{Connections: 61728, Accepted: 100000, Subscriptions: 61502, Delivered: 2500, BytesOut: 1 << 29, QueuedBytes: 300 << 10, Batches: 4000, Walks: 12},
			{Connections: 61728, Accepted: 100000, Subscriptions: 61503, Delivered: 2500, BytesOut: 1 << 29, Batches: 4001, Walks: 12},
		},
	}
}

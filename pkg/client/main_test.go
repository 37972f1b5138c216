package client

import (
	"bufio"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"holdfast/pkg/publish"
	"holdfast/pkg/wire"

	"go.uber.org/goleak"
)

// TestMain fails when a test leaves a goroutine behind.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is the server's side of one connection, after the hellos. The connection is closed when it returns.
type script func(s *session)

// session is a connection as the test's server has it.
type session struct {
	net.Conn
	t      testing.TB
	frames *wire.Reader
}

// serve starts a server that treats every connection by run, and returns its path.
func serve(t testing.TB, hello wire.Hello, run script) string {
	t.Helper()
	return serveRaw(t, func(nc net.Conn) {
		s := &session{Conn: nc, t: t, frames: wire.NewReader(nc, 8<<20)}
		if _, err := wire.ReadHello(s.frames); err != nil {
			return
		}
		nc.Write(wire.AppendHello(nil, &hello)) //nolint:errcheck // the client may be gone
		run(s)
	})
}

// serveRaw starts a server without hellos.
func serveRaw(t testing.TB, run func(nc net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var sessions sync.WaitGroup
	sessions.Go(func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			sessions.Go(func() {
				defer nc.Close()
				run(nc)
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		sessions.Wait()
	})
	return path
}

var ours = wire.Hello{Version: wire.Version, Program: "pushd test", PID: 1, MaxFrame: wire.MaxFrame}

// next reads a message; ok is false at the end of the connection.
func (s *session) next() (m wire.Message, ok bool) {
	payload, err := s.frames.Next()
	if err != nil {
		return m, false
	}
	if m, err = wire.ParseMessage(payload); err != nil {
		s.t.Errorf("the client sends a bad frame: %v", err)
		return m, false
	}
	return m, true
}

// acksFor accepts every item of a publish message; its receivers are the length of its channel name.
func (s *session) acksFor(m wire.Message) []wire.Ack {
	items, err := m.Items()
	if err != nil {
		s.t.Errorf("the client sends a bad publish: %v", err)
		return nil
	}
	var acks []wire.Ack
	for items.Left() > 0 {
		var it publish.Item
		id, _, err := items.Next(&it)
		if err != nil {
			s.t.Errorf("the client sends a bad item: %v", err)
			return nil
		}
		acks = append(acks, wire.Ack{ID: id, Accepted: true, Receivers: len(it.Channel)})
	}
	return acks
}

// acknowledge is a script that accepts everything.
func acknowledge(s *session) {
	w := bufio.NewWriter(s)
	for {
		if !s.frames.Ready() && w.Flush() != nil {
			return
		}
		m, ok := s.next()
		if !ok {
			return
		}
		w.Write(wire.AppendAcks(nil, s.acksFor(m))) //nolint:errcheck // seen by Flush
	}
}

func dialTest(t testing.TB, path string) *Conn {
	t.Helper()
	c, err := Dial(t.Context(), path, Options{Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func streamItem(channel, content string) *publish.Item {
	return &publish.Item{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: content}}
}

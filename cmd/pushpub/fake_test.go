package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/publish"
	"holdfast/pkg/wire"
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// fakePushd speaks the control protocol on a socket and keeps the items that it gets.
type fakePushd struct {
	path string
	// answer says what becomes of an item; nil accepts it with 1 receiver. It may block. It may return false to end the
	// connection without an answer.
	answer func(*publish.Item) (wire.Ack, bool)

	ln      net.Listener
	wg      sync.WaitGroup
	arrived chan publish.Item

	mu    sync.Mutex
	items []publish.Item
	conns map[net.Conn]bool
}

func startPushd(t *testing.T, answer func(*publish.Item) (wire.Ack, bool)) *fakePushd {
	t.Helper()
	return startPushdAt(t, filepath.Join(t.TempDir(), "pushd.sock"), answer)
}

func startPushdAt(t *testing.T, path string, answer func(*publish.Item) (wire.Ack, bool)) *fakePushd {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	f := &fakePushd{path: path, answer: answer, ln: ln, arrived: make(chan publish.Item, 1<<16), conns: make(map[net.Conn]bool)}
	f.wg.Go(f.accept)
	t.Cleanup(f.stop)
	return f
}

func (f *fakePushd) stop() {
	f.ln.Close()
	f.mu.Lock()
	for nc := range f.conns {
		nc.Close()
	}
	f.mu.Unlock()
	f.wg.Wait()
}

func (f *fakePushd) accept() {
	for {
		nc, err := f.ln.Accept()
		if err != nil {
			return
		}
		f.mu.Lock()
		f.conns[nc] = true
		f.mu.Unlock()
		f.wg.Go(func() {
			defer nc.Close()
			f.serve(nc)
		})
	}
}

func (f *fakePushd) serve(nc net.Conn) {
	frames := wire.NewReader(nc, wire.MaxFrame)
	if _, err := wire.ReadHello(frames); err != nil {
		return
	}
	nc.Write(wire.AppendHello(nil, &wire.Hello{Version: wire.Version, Program: "fake", MaxFrame: wire.MaxFrame}))
	for {
		payload, err := frames.Next()
		if err != nil {
			return
		}
		m, err := wire.ParseMessage(payload)
		if err != nil {
			return
		}
		items, err := m.Items()
		if err != nil {
			return
		}
		var acks []wire.Ack
		for items.Left() > 0 {
			var it publish.Item
			id, _, err := items.Next(&it)
			if err != nil {
				return
			}
			ack := wire.Ack{Accepted: true, Receivers: 1}
			f.mu.Lock()
			f.items = append(f.items, publish.Clone(it))
			f.mu.Unlock()
			f.arrived <- it
			if f.answer != nil {
				ok := false
				if ack, ok = f.answer(&it); !ok {
					return
				}
			}
			ack.ID = id
			acks = append(acks, ack)
		}
		nc.Write(wire.AppendAcks(nil, acks))
	}
}

// got returns the items so far.
func (f *fakePushd) got() []publish.Item {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.items
}

// contents returns the stream contents of the items so far.
func (f *fakePushd) contents() []string {
	var all []string
	for _, it := range f.got() {
		all = append(all, it.Stream.Content)
	}
	return all
}

// await waits for the next item.
func (f *fakePushd) await(t *testing.T) publish.Item {
	t.Helper()
	select {
	case it := <-f.arrived:
		return it
	case <-time.After(patience):
		t.Fatal("no item arrived")
		return publish.Item{}
	}
}

// acceptWith accepts every item with n receivers.
func acceptWith(n int) func(*publish.Item) (wire.Ack, bool) {
	return func(*publish.Item) (wire.Ack, bool) { return wire.Ack{Accepted: true, Receivers: n}, true }
}

// refuse refuses the items whose stream content contains bad, and accepts the others.
func refuse(bad string) func(*publish.Item) (wire.Ack, bool) {
	return func(it *publish.Item) (wire.Ack, bool) {
		if strings.Contains(it.Stream.Content, bad) {
			return wire.Ack{Err: wire.Errorf(wire.BadItem, "it is %s", bad)}, true
		}
		return wire.Ack{Accepted: true, Receivers: 1}, true
	}
}

// terminal stands for a standard input that is one: nothing may read from it.
var terminal io.Reader

// pushpub runs the program, with the terminal or in as standard input.
func pushpub(t *testing.T, in io.Reader, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return pushpubIn(ctx, in, args...)
}

func pushpubIn(ctx context.Context, in io.Reader, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	s := streams{in: in, out: &out, errs: &errs}
	if in == nil {
		s.in, s.inTerminal = strings.NewReader("from the terminal"), true
	}
	code = app.Run(ctx, newApp(s), append([]string{"pushpub"}, args...))
	return code, out.String(), errs.String()
}

// expect compares what a run gave with what it should have given.
func expect(t *testing.T, what string, code, wantCode int, stdout, wantStdout, stderr, wantStderr string) {
	t.Helper()
	if code != wantCode || stdout != wantStdout || stderr != wantStderr {
		t.Errorf("%s: exit %d, stdout %q, stderr %q\nwant exit %d, stdout %q, stderr %q",
			what, code, stdout, stderr, wantCode, wantStdout, wantStderr)
	}
}

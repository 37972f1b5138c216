package main

import (
	"context"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"holdfast/cmd/internal/app"
	"holdfast/pkg/control"
	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// keeper stands for a hub without subscribers.
type keeper struct {
	mu    sync.Mutex
	items []publish.Item
}

func (k *keeper) Publish(_ context.Context, b *hub.Batch) error {
	k.mu.Lock()
	for i := range b.Deliveries {
		k.items = append(k.items, publish.Clone(b.Deliveries[i].Item))
	}
	k.mu.Unlock()
	b.Done(b)
	return nil
}

// TestAgainstControl publishes to the real server of the control socket.
func TestAgainstControl(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pushd.sock")
	ln, err := control.Listen(path, 0o600, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	k := &keeper{}
	done := make(chan error)
	go func() { done <- control.New(control.Options{Publisher: k, Program: "test"}).Serve(ctx, ln) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve = %v", err)
		}
	}()

	code, stdout, stderr := pushpub(t, terminal, "test", "hello", "--socket", path, "--event", "tick", "--id", "7", "-H", "a: b, c")
	expect(t, "accepted", code, app.OK, stdout, "published to 0 connections\n", stderr, "")
	want := publish.Item{Channel: "test", ID: "7", Formats: publish.HTTPResponse | publish.HTTPStream | publish.WSMessage | publish.SSE,
		Response: publish.Response{Body: "hello\n", Headers: []publish.Header{{Name: "a", Value: "b, c"}}},
		Stream:   publish.Stream{Content: "hello\n"},
		Message:  publish.Message{Content: "hello"},
		Event:    publish.Event{Event: "tick", Data: "hello"},
	}
	if len(k.items) != 1 || !reflect.DeepEqual(k.items[0], want) {
		t.Errorf("pushd got %+v\nwant %+v", k.items, want)
	}

	code, stdout, stderr = pushpub(t, terminal, "test", "hello", "--socket", path, "--require-receivers", "--json")
	expect(t, "nobody", code, app.NoReceivers, stdout, `{"channel":"test","id":null,"receivers":0}`+"\n", stderr, "pushpub: nobody received it\n")

	// What an item may have is for pushd to say, of each line.
	code, stdout, stderr = pushpub(t, strings.NewReader("1\n2\n3\n"), "-l", "test",
		"--prev-id", "\x7f", "--socket", path)
	expect(t, "refused", code, app.Failed, stdout, `{"published":0,"receivers":0,"refused":3}`+"\n", stderr, stderr)
	const why = `pushpub: line 2: refused: bad item: publish item object contains 'prev-id' with invalid value: ` +
		`"\x7f" contains the control character U+007F` + "\n"
	if !strings.Contains(stderr, why) {
		t.Errorf("stderr %q, want it to contain %q", stderr, why)
	}

	// Text that is not UTF-8 is for pushd to mend, also where a client gets only text.
	code, stdout, stderr = pushpub(t, strings.NewReader("\xff"), "test", "--format", "sse", "--socket", path, "-q")
	expect(t, "bytes as an event", code, app.OK, stdout, "", stderr, "")
}

func BenchmarkLines(b *testing.B) {
	path := filepath.Join(b.TempDir(), "pushd.sock")
	ln, err := control.Listen(path, 0o600, "")
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- control.New(control.Options{Publisher: drop{}, Program: "test"}).Serve(ctx, ln) }()
	in := strings.NewReader(strings.Repeat(strings.Repeat("x", 99)+"\n", b.N))
	b.ReportAllocs()
	b.ResetTimer()
	code, _, stderr := pushpubIn(b.Context(), in, "-l", "test", "--format", "stream", "--socket", path, "-q")
	b.StopTimer()
	if code != app.OK {
		b.Errorf("exit %d: %s", code, stderr)
	}
	cancel()
	<-done
}

// drop is a hub that takes everything and does nothing.
type drop struct{}

func (drop) Publish(_ context.Context, b *hub.Batch) error {
	b.Done(b)
	return nil
}

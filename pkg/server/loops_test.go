package server

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
)

// startLoops runs loops on a port of the kernel's choice.
func startLoops(t testing.TB, change func(*Options)) (*loops, string) {
	o := NewOptions()
	o.Loops = 2
	if change != nil {
		change(&o)
	}
	p, err := newLoops(o, nil, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	addr, err := p.listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return p, addr.String()
}

// publishOne publishes an item and returns its receivers.
func publishOne(t testing.TB, p *loops, it publish.Item) int {
	t.Helper()
	done := make(chan int, 1)
	b := &hub.Batch{Deliveries: make([]hub.Delivery, 1), Done: func(b *hub.Batch) { done <- b.Deliveries[0].Receivers() }}
	b.Deliveries[0].Item = it
	if err := p.dir.Publish(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-done:
		return n
	case <-time.After(10 * time.Second):
		t.Fatal("no acknowledgement in 10 s")
		return 0
	}
}

func streamItem(channel, content string) publish.Item {
	return publish.Item{Channel: channel, Formats: publish.HTTPStream, Stream: publish.Stream{Content: content}}
}

// open opens a held response and reads its opening.
func open(t testing.TB, addr, target, opening string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != 200 {
		body, _ := io.ReadAll(res.Body)
		t.Fatalf("GET %s: %s %s", target, res.Status, body)
	}
	r := bufio.NewReader(res.Body)
	want(t, r, opening)
	return r
}

func want(t testing.TB, r *bufio.Reader, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != text {
		t.Fatalf("read %q, %v, want %q", got, err, text)
	}
}

func TestPublishedItemReachesHeldConnections(t *testing.T) {
	p, addr := startLoops(t, nil)
	s1 := open(t, addr, "/stream?channel=a", "")
	s2 := open(t, addr, "/stream?topic=a&channel=b", "")
	e1 := open(t, addr, "/events?channel=a", ":\n\nretry: ")
	if line, err := e1.ReadString('\n'); err != nil || strings.Trim(line, "0123456789") != "\n" {
		t.Errorf("retry = %q, %v, want a number", line, err)
	}
	want(t, e1, "\n")
	if n := publishOne(t, p, streamItem("a", "hello\n")); n != 3 {
		t.Errorf("receivers = %d, want 3", n)
	}
	want(t, s1, "hello\n")
	want(t, s2, "hello\n")
	want(t, e1, "data: hello\n\n")
	if n := publishOne(t, p, streamItem("b", "x")); n != 1 {
		t.Errorf("receivers = %d, want 1", n)
	}
	want(t, s2, "x")
	if n := publishOne(t, p, streamItem("nobody", "x")); n != 0 {
		t.Errorf("receivers = %d, want 0", n)
	}
	it := publish.Item{Channel: "a", Formats: publish.HTTPStream, Stream: publish.Stream{Action: publish.Close}}
	if n := publishOne(t, p, it); n != 3 {
		t.Errorf("receivers of close = %d, want 3", n)
	}
	for _, r := range []*bufio.Reader{s1, s2, e1} {
		if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
			t.Errorf("after close: %q, %v, want the end of the body", rest, err)
		}
	}
}

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

	"holdfast/pkg/publish"
)

// poller is a client that keeps its connection from poll to poll.
type poller struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialPoller(t *testing.T, addr string) *poller {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return &poller{t, c, bufio.NewReader(c)}
}

func (p *poller) ask(request string) { fmt.Fprint(p, request) }

// answer reads one answer and returns it with its body.
func (p *poller) answer() (*http.Response, string) {
	p.t.Helper()
	res, err := http.ReadResponse(p.r, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return res, string(body)
}

func responseItem(channel string, r publish.Response) publish.Item {
	return publish.Item{Channel: channel, Formats: publish.HTTPResponse, Response: r}
}

func TestPollIsAnsweredByTheFirstItem(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	receivers := func(it publish.Item) int {
		t.Helper()
		acks, err := ctl.Publish(context.Background(), []publish.Item{it})
		if err != nil {
			t.Fatal(err)
		}
		return acks[0].Receivers
	}
	polls := func(n int) {
		t.Helper()
		eventually(t, fmt.Sprint(n, " polls are held"), func() bool { return s.Snapshot().Connections.Poll == n })
	}
	p := dialPoller(t, s.addr())
	p.ask("GET /poll?channel=a&channel=b HTTP/1.1\r\nHost: x\r\n\r\n")
	polls(1)
	if n := receivers(streamItem("a", "not for a poll")); n != 0 {
		t.Errorf("an item without http-response has %d receivers, want 0", n)
	}
	if n := receivers(responseItem("b", publish.Response{
		Code: 202, Reason: "Yep", Body: "hello\n",
		Headers: []publish.Header{{Name: "X-A", Value: "1"}, {Name: "Content-Length", Value: "999"}, {Name: "Connection", Value: "upgrade"}},
	})); n != 1 {
		t.Errorf("receivers = %d, want 1", n)
	}
	res, body := p.answer()
	if res.Status != "202 Yep" || body != "hello\n" || res.Header.Get("X-A") != "1" || res.ContentLength != 6 || res.Close {
		t.Errorf("answer %v %q %v, want the item's, framed by pushd", res.Status, body, res.Header)
	}
	polls(0)
	if n := receivers(responseItem("a", publish.Response{Body: "nobody"})); n != 0 {
		t.Errorf("receivers after the answer = %d, want 0", n)
	}

	// The connection goes on, and the next request may have come before the answer.
	p.ask("GET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\n\r\nGET /poll?channel=a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	polls(1)
	receivers(responseItem("a", publish.Response{Body: "second"}))
	if res, body := p.answer(); res.StatusCode != 200 || body != "second" {
		t.Errorf("second answer %v %q", res.Status, body)
	}
	if res, _ := p.answer(); res.StatusCode != 404 {
		t.Errorf("answer to the pipelined request: %v, want 404", res.Status)
	}
	polls(1)
	receivers(responseItem("a", publish.Response{Code: 204}))
	if res, body := p.answer(); res.StatusCode != 204 || body != "" || !res.Close {
		t.Errorf("third answer %v %q, close %v, want 204 and the end", res.Status, body, res.Close)
	}
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		t.Errorf("after Connection: close: %q, %v, want the end", rest, err)
	}
	if snap := s.Snapshot(); snap.Subscriptions != 0 || snap.Channels != 0 {
		t.Errorf("%d subscriptions to %d channels are left, want 0", snap.Subscriptions, snap.Channels)
	}
}

func TestPollTimeout(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	p := dialPoller(t, s.addr())
	start := time.Now()
	p.ask("GET /poll?channel=a&timeout=1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
	res, body := p.answer()
	if took := time.Since(start); took < time.Second {
		t.Errorf("answered after %v, want a second", took)
	}
	if res.StatusCode != 204 || body != "" || res.Header.Get("Connection") != "keep-alive" {
		t.Errorf("answer %v %q %v, want 204 and a connection that stays", res.Status, body, res.Header)
	}
	for _, timeout := range []string{"0", "301", "-1", "x", "", "1.5", "99999999999"} {
		p.ask("GET /poll?channel=a&timeout=" + timeout + " HTTP/1.1\r\nHost: x\r\n\r\n")
		if res, body := p.answer(); res.StatusCode != 400 || !strings.Contains(body, "timeout") {
			t.Errorf("timeout=%s: %v %q, want 400 that names it", timeout, res.Status, body)
		}
	}
	p.ask("HEAD /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
	if res, _ := p.answer(); res.StatusCode != 204 {
		t.Errorf("HEAD: %v, want 204 at once", res.Status)
	}
}

func TestShutdownAnswersPolls(t *testing.T) {
	s, ctl := startServer(t, nil)
	ctl.Close()
	p := dialPoller(t, s.addr())
	p.ask("GET /poll?channel=a HTTP/1.1\r\nHost: x\r\n\r\n")
	eventually(t, "the poll is held", func() bool { return s.Snapshot().Connections.Poll == 1 })
	s.Shutdown()
	if res, _ := p.answer(); res.StatusCode != 204 {
		t.Errorf("answer at the end: %v, want 204", res.Status)
	}
	if _, err := p.r.ReadByte(); err != io.EOF {
		t.Errorf("after it: %v, want the end", err)
	}
}

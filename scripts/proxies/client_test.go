package proxies

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// front is a running proxy, as its clients see it.
type front struct {
	addr, host string
	roots      *x509.CertPool
	plain      bool   // no TLS
	source     net.IP // address of the clients that are opened next; nil: the usual one
}

func (f *front) url(target string) string {
	if f.plain {
		return "http://" + f.host + target
	}
	return "https://" + f.host + target
}

// dialer returns a function that connects to the proxy, whatever the name of the site resolves to.
func (f *front) dialer() func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: f.source}}
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", f.addr)
	}
}

func (f *front) tls() *tls.Config { return &tls.Config{RootCAs: f.roots, ServerName: site} }

// client speaks the given version of HTTP, "http/1.1" or "h2", on a connection of its own.
func (f *front) client(proto string) *http.Client {
	tr := &http.Transport{DialContext: f.dialer(), TLSClientConfig: f.tls(), Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(proto == "http/1.1")
	tr.Protocols.SetHTTP2(proto == "h2")
	return &http.Client{Transport: tr}
}

// subscriber is a client that reads what it gets.
type subscriber struct {
	form, proto string
	leave       func()

	ended chan struct{} // closed when nothing comes any more
	err   error         // how it ended; nil in order, with an end of the body or a close frame

	mu   sync.Mutex
	body bytes.Buffer
}

func (c *subscriber) String() string { return c.form + " over " + c.proto }

// openAll opens a subscriber of each form and version of HTTP.
func (f *front) openAll(t *testing.T, channel string) []*subscriber {
	t.Helper()
	return append(f.openStreams(t, channel),
		f.open(t, "poll", channel, "http/1.1"),
		f.open(t, "poll", channel, "h2"))
}

// openStreams opens those that one message does not end.
func (f *front) openStreams(t *testing.T, channel string) []*subscriber {
	t.Helper()
	return []*subscriber{
		f.open(t, "events", channel, "http/1.1"),
		f.open(t, "events", channel, "h2"),
		f.open(t, "stream", channel, "http/1.1"),
		f.open(t, "stream", channel, "h2"),
		f.open(t, "ws", channel, "http/1.1"),
	}
}

// open subscribes to a channel. It does not wait for an answer: a poll gets none yet.
func (f *front) open(t *testing.T, form, channel, proto string) *subscriber {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &subscriber{form: form, proto: proto, leave: cancel, ended: make(chan struct{})}
	target := f.url("/" + form + "?channel=" + channel)
	client, dialer := f.client(proto), ws.Dialer{NetDial: f.dialer(), TLSConfig: f.tls()}
	go func() {
		defer close(c.ended)
		if form == "ws" {
			c.err = c.readMessages(ctx, dialer, strings.Replace(target, "http", "ws", 1))
			return
		}
		c.err = c.readBody(ctx, client, target)
	}()
	t.Cleanup(func() {
		cancel()
		<-c.ended
	})
	return c
}

func (c *subscriber) readBody(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	want := "HTTP/1.1"
	if c.proto == "h2" {
		want = "HTTP/2.0"
	}
	nothing := c.form == "poll" && res.StatusCode == http.StatusNoContent
	if res.Proto != want || res.StatusCode != http.StatusOK && !nothing {
		return fmt.Errorf("%s %s, want %s 200", res.Proto, res.Status, want)
	}
	_, err = io.Copy(writer{c}, res.Body)
	return err
}

func (c *subscriber) readMessages(ctx context.Context, dialer ws.Dialer, url string) error {
	conn, buffered, _, err := dialer.Dial(ctx, url)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	defer conn.Close()
	r := io.Reader(conn)
	if buffered != nil {
		r = buffered
	}
	for {
		h, err := ws.ReadHeader(r)
		if err != nil {
			return err
		}
		payload := make([]byte, min(h.Length, 1<<10)) // more is not sent here
		if _, err := io.ReadFull(r, payload); err != nil {
			return err
		}
		switch h.OpCode {
		case ws.OpText:
			c.add(string(payload))
		case ws.OpClose:
			if code, _ := ws.ParseCloseFrameData(payload); code != ws.StatusGoingAway {
				return fmt.Errorf("close frame with code %d", code)
			}
			return nil
		}
	}
}

// writer is the subscriber as the end of a copy.
type writer struct{ c *subscriber }

func (w writer) Write(b []byte) (int, error) {
	w.c.add(string(b))
	return len(b), nil
}

func (c *subscriber) add(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.body.WriteString(text)
}

func (c *subscriber) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.body.String()
}

// await waits until the subscriber has got text.
func (c *subscriber) await(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(patience); !strings.Contains(c.text(), text); time.Sleep(time.Millisecond) {
		select {
		case <-c.ended:
			if !strings.Contains(c.text(), text) {
				t.Fatalf("%s got %q, not %q, and ended: %v", c, c.text(), text, c.err)
			}
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("%s got %q, not %q within %v", c, c.text(), text, patience)
		}
	}
}

// awaitEnd waits until the subscriber's connection has ended.
func (c *subscriber) awaitEnd(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(within):
		t.Fatalf("%s is still there after %v", c, within)
	}
}

// failure is how a subscriber that has ended did so, nil when that was in order.
func (c *subscriber) failure() error {
	<-c.ended
	return c.err
}

package oracle

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// quiet is how long nothing has to come before a client that is still connected is taken to have everything.
const quiet = 600 * time.Millisecond

// client is a raw connection to a proxy. A goroutine of its own collects what comes.
type client struct {
	t    *testing.T
	p    *proxy
	path string // the first segment, by which the backend knows the case
	conn net.Conn

	mu     sync.Mutex
	got    []byte
	closed bool
}

// step is one thing a case does.
type step func(*client)

func (p *proxy) dial(t *testing.T, path string) (*client, error) {
	conn, err := net.Dial("tcp", p.addr)
	if err != nil {
		return nil, err
	}
	c := &client{t: t, p: p, path: path, conn: conn}
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := conn.Read(b)
			c.mu.Lock()
			c.got = append(c.got, b[:n]...)
			c.closed = err != nil
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return c, nil
}

// until waits for a condition on what has come. A case that waits in vain goes on: what differs will be seen.
func (c *client) until(what string, ok func(got []byte, closed bool) bool) {
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		c.mu.Lock()
		done := ok(c.got, c.closed)
		closed := c.closed
		c.mu.Unlock()
		if done || closed {
			return
		}
		if time.Now().After(end) {
			c.t.Errorf("%s: %s waited in vain for %s, got %q", c.p.name, c.path, what, c.got)
			return
		}
	}
}

// send sends bytes, with PATH replaced by that of the case.
func send(s string) step {
	return func(c *client) {
		if _, err := io.WriteString(c.conn, strings.ReplaceAll(s, "PATH", c.path)); err != nil {
			c.t.Logf("%s: %s: %v", c.p.name, c.path, err)
		}
	}
}

// get sends a request for a host with further fields, each ended by CR LF.
func get(host, fields string) step {
	return send("GET /PATH HTTP/1.1\r\nHost: " + host + "\r\n" + fields + "\r\n")
}

// await waits until the client has the text.
func await(s string) step {
	return func(c *client) {
		c.until(fmt.Sprintf("%q", s), func(got []byte, _ bool) bool { return bytes.Contains(got, []byte(s)) })
	}
}

// asked waits until the backend was asked n times, and for the time that a hold takes after that.
func asked(n int) step {
	return func(c *client) {
		c.until(fmt.Sprintf("request %d at the backend", n), func([]byte, bool) bool { return c.p.backend.count(c.path) >= n })
		settle(c)
	}
}

// settle waits until an answer that is on its way to a hold is held. It stays below the second after which Pushpin asks again.
func settle(*client) { time.Sleep(300 * time.Millisecond) }

// publish publishes items, given as the inside of a JSON list, with PATH replaced.
func publish(items string) step {
	return func(c *client) {
		if err := c.p.post(`{"items":[` + strings.ReplaceAll(items, "PATH", c.path) + `]}`); err != nil {
			c.t.Errorf("%s: %v", c.p.name, err)
		}
	}
}

// stream publishes a piece of a stream to the channel of the case, with further fields of the item.
func stream(content, more string) step {
	return publish(fmt.Sprintf(`{"channel":"PATH","formats":{"http-stream":{"content":%q}}%s}`, content, more))
}

// response publishes an answer, as the fields of http-response.
func response(fields string) step {
	return publish(`{"channel":"PATH","formats":{"http-response":{` + fields + `}}}`)
}

// end is when everything has come: a while after the last byte, or at the connection's end.
func (c *client) end() (got []byte, closed bool) {
	n, last := -1, time.Now()
	c.until("the end", func(b []byte, _ bool) bool {
		if len(b) != n {
			n, last = len(b), time.Now()
		}
		return time.Since(last) > quiet
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.got), c.closed
}

// once sends a request on a connection of its own and returns what comes until the end.
func (p *proxy) once(request string, limit time.Duration) (string, error) {
	conn, err := net.DialTimeout("tcp", p.addr, limit)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(limit))
	if _, err := io.WriteString(conn, request); err != nil {
		return "", err
	}
	b, err := io.ReadAll(conn)
	return string(b), err
}

func (p *proxy) post(body string) error {
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Post(p.publish, "application/json", strings.NewReader(body))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s refuses %s: %s %s", p.name, body, res.Status, text)
	}
	return nil
}

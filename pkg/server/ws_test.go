package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gobwas "github.com/gobwas/ws"

	"holdfast/pkg/publish"
	"holdfast/pkg/ws"
)

// dialWS opens a WebSocket with another implementation's client.
func dialWS(t *testing.T, addr, target string) (net.Conn, *bufio.Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, br, _, err := gobwas.Dial(ctx, "ws://"+addr+target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	if br == nil {
		br = bufio.NewReader(conn)
	}
	return conn, br
}

// readFrame reads one frame of at most 1 MiB.
func readFrame(r io.Reader) (f gobwas.Frame, err error) {
	if f.Header, err = gobwas.ReadHeader(r); err != nil {
		return f, err
	}
	if f.Header.Length > 1<<20 {
		return f, errors.New("frame too large")
	}
	f.Payload = make([]byte, f.Header.Length)
	_, err = io.ReadFull(r, f.Payload)
	return f, err
}

func wantFrame(t *testing.T, r io.Reader, op gobwas.OpCode, payload string) {
	t.Helper()
	f, err := readFrame(r)
	if err != nil || f.Header.OpCode != op || string(f.Payload) != payload || !f.Header.Fin || f.Header.Masked {
		t.Fatalf("frame %+v %q, %v; want opcode %d, %q", f.Header, f.Payload, err, op, payload)
	}
}

func messageItem(channel string, m publish.Message) publish.Item {
	return publish.Item{Channel: channel, Formats: publish.WSMessage, Message: m}
}

func TestWebSocketGetsMessages(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	conn, r := dialWS(t, s.addr(), "/ws?channel=a&channel=b")
	eventually(t, "it is held", func() bool { return s.Snapshot().Connections.WS == 1 })
	long := strings.Repeat("x", 70_000)
	for _, m := range []struct {
		item    publish.Item
		op      gobwas.OpCode
		payload string
	}{
		{messageItem("a", publish.Message{Content: "hello"}), gobwas.OpText, "hello"},
		{messageItem("b", publish.Message{Type: publish.Binary, Content: "\x00\xff"}), gobwas.OpBinary, "\x00\xff"},
		{messageItem("a", publish.Message{Type: publish.Ping, Content: "p"}), gobwas.OpPing, "p"},
		{messageItem("a", publish.Message{Type: publish.Pong}), gobwas.OpPong, ""},
		{messageItem("a", publish.Message{Content: long}), gobwas.OpText, long},
	} {
		acks, err := ctl.Publish(context.Background(), []publish.Item{m.item, streamItem("a", "not for a WebSocket")})
		if err != nil || acks[0].Receivers != 1 || acks[1].Receivers != 0 {
			t.Fatalf("acks %+v, %v, want 1 and 0 receivers", acks, err)
		}
		wantFrame(t, r, m.op, m.payload)
	}
	// What it sends is read and ignored; its pings are answered.
	for _, f := range []gobwas.Frame{
		gobwas.NewTextFrame([]byte("ignored")),
		gobwas.NewFrame(gobwas.OpText, false, []byte("in ")), gobwas.NewPingFrame([]byte("are you there")), gobwas.NewFrame(gobwas.OpContinuation, true, []byte("parts")),
	} {
		if err := gobwas.WriteFrame(conn, gobwas.MaskFrame(f)); err != nil {
			t.Fatal(err)
		}
	}
	wantFrame(t, r, gobwas.OpPong, "are you there")

	// An item that closes: the close frame, then the end.
	if _, err := ctl.Publish(context.Background(), []publish.Item{messageItem("b", publish.Message{Action: publish.Close, Code: 4001, Reason: "bye"})}); err != nil {
		t.Fatal(err)
	}
	wantFrame(t, r, gobwas.OpClose, "\x0f\xa1bye")
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the close frame: %v, want the end", err)
	}
	eventually(t, "it is gone", func() bool { return s.Snapshot().Connections.Total == 0 })
	if snap := s.Snapshot(); snap.Closed["close-action"] != 1 || snap.Subscriptions != 0 {
		t.Errorf("%+v, want one close-action and no subscription", snap)
	}
}

func TestWebSocketIsClosedByTheClientAndByShutdown(t *testing.T) {
	s, ctl := startServer(t, nil)
	ctl.Close()
	conn, r := dialWS(t, s.addr(), "/ws?channel=a")
	gobwas.WriteFrame(conn, gobwas.MaskFrame(gobwas.NewCloseFrame(gobwas.NewCloseFrameBody(1000, "done"))))
	wantFrame(t, r, gobwas.OpClose, "\x03\xe8")
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("after the closing handshake: %v, want the end", err)
	}
	_, r = dialWS(t, s.addr(), "/ws?channel=a")
	eventually(t, "it is held", func() bool { return s.Snapshot().Connections.WS == 1 })
	s.Shutdown()
	wantFrame(t, r, gobwas.OpClose, "\x03\xe9")
}

func TestWebSocketPing(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) { o.WSPing = 200 * time.Millisecond })
	defer s.Shutdown()
	defer ctl.Close()
	_, r := dialWS(t, s.addr(), "/ws?channel=a")
	for range 3 { // none of them is answered, and the connection stays
		wantFrame(t, r, gobwas.OpPing, "")
	}
}

// Each breach of the protocol gets its close code at every split of the bytes, and the neighbour its messages.
func TestWebSocketProtocolErrors(t *testing.T) {
	s, ctl := startServer(t, func(o *Options) { o.MaxMessage = 1000 })
	defer s.Shutdown()
	defer ctl.Close()
	_, neighbour := dialWS(t, s.addr(), "/ws?channel=a")
	key := [4]byte{1, 2, 3, 4}
	for name, tt := range map[string]struct {
		bytes string
		code  ws.Code
	}{
		"unmasked":         {"\x81\x02hi", ws.CodeProtocolError},
		"reserved bit":     {"\xc1\x80\x00\x00\x00\x00", ws.CodeProtocolError},
		"reserved opcode":  {"\x83\x80\x00\x00\x00\x00", ws.CodeProtocolError},
		"large ping":       {"\x89\xfe\x00\x7e\x00\x00\x00\x00", ws.CodeProtocolError},
		"fragmented ping":  {"\x09\x80\x00\x00\x00\x00", ws.CodeProtocolError},
		"no message begun": {"\x80\x80\x00\x00\x00\x00", ws.CodeProtocolError},
		"bad UTF-8":        {string(ws.AppendMasked(nil, ws.Text, "\xff", key)), ws.CodeInvalidData},
		"too long":         {string(ws.AppendMasked(nil, ws.Text, strings.Repeat("x", 1001), key)), ws.CodeTooBig},
		"zero mask":        {string(ws.AppendMasked(nil, ws.Text, "fine", [4]byte{})) + "\x88\x80\x00\x00\x00\x00", ws.CodeNone},
	} {
		t.Run(name, func(t *testing.T) {
			for split := range min(len(tt.bytes), 12) {
				conn, r := dialWS(t, s.addr(), "/ws?channel=a")
				io.WriteString(conn, tt.bytes[:split])
				io.WriteString(conn, tt.bytes[split:])
				f, err := readFrame(r)
				if err != nil || f.Header.OpCode != gobwas.OpClose {
					t.Fatalf("split at %d: %+v, %v, want a close frame", split, f.Header, err)
				}
				code, reason := gobwas.ParseCloseFrameData(f.Payload)
				if len(f.Payload) == 0 {
					code = gobwas.StatusNoStatusRcvd
				}
				if ws.Code(code) != tt.code || tt.code != ws.CodeNone && reason == "" {
					t.Fatalf("split at %d: close %d %q, want %d and why", split, code, reason, tt.code)
				}
				conn.Close()
			}
		})
	}
	if _, err := ctl.Publish(context.Background(), []publish.Item{messageItem("a", publish.Message{Content: "still here"})}); err != nil {
		t.Fatal(err)
	}
	wantFrame(t, neighbour, gobwas.OpText, "still here")
}

func TestMalformedHandshakes(t *testing.T) {
	s, ctl := startServer(t, nil)
	defer s.Shutdown()
	defer ctl.Close()
	const good = "Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, tt := range map[string]struct {
		request string
		status  int
	}{
		"good":         {"GET /ws?channel=a HTTP/1.1\r\n" + good, 101},
		"no upgrade":   {"GET /ws?channel=a HTTP/1.1\r\nHost: x\r\n", 426},
		"old version":  {"GET /ws?channel=a HTTP/1.1\r\n" + strings.Replace(good, ": 13", ": 8", 1), 426},
		"no key":       {"GET /ws?channel=a HTTP/1.1\r\n" + good[:strings.Index(good, "Sec-WebSocket-Key")], 400},
		"short key":    {"GET /ws?channel=a HTTP/1.1\r\n" + strings.Replace(good, "dGhl", "", 1), 400},
		"HTTP/1.0":     {"GET /ws?channel=a HTTP/1.0\r\n" + good, 400},
		"no channel":   {"GET /ws HTTP/1.1\r\n" + good, 400},
		"with a body":  {"GET /ws?channel=a HTTP/1.1\r\nContent-Length: 1\r\n" + good, 413},
		"POST":         {"POST /ws?channel=a HTTP/1.1\r\n" + good, 405},
		"not found":    {"GET /wss?channel=a HTTP/1.1\r\n" + good, 404},
		"to a stream":  {"GET /events?channel=a HTTP/1.1\r\n" + good, 200},
		"two versions": {"GET /ws?channel=a HTTP/1.1\r\n" + good + "Sec-WebSocket-Version: 8\r\n", 400},
	} {
		p := dialPoller(t, s.addr())
		p.ask(tt.request + "\r\n")
		res, err := http.ReadResponse(p.r, nil)
		if err != nil || res.StatusCode != tt.status {
			t.Errorf("%s: %v, %v, want %d", name, res, err, tt.status)
			continue
		}
		if text, _ := io.ReadAll(io.LimitReader(res.Body, 3)); string(text) == "ws:" {
			t.Errorf("%s: the answer's text begins with a package's name", name)
		}
		if tt.status == 426 && (res.Header.Get("Sec-WebSocket-Version") != "13" || res.Header.Get("Upgrade") != "websocket") {
			t.Errorf("%s: %v, want the version and protocol to come with", name, res.Header)
		}
		if tt.status == 101 && res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
			t.Errorf("%s: %v, want the accept key of RFC 6455 1.3", name, res.Header)
		}
		p.Close()
	}
}

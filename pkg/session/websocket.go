package session

import (
	"errors"

	"holdfast/pkg/hub"
	"holdfast/pkg/publish"
	"holdfast/pkg/stats"
	"holdfast/pkg/ws"
)

// sockets are WebSockets (RFC 6455).
type sockets struct{ *Clients }

func (sockets) counts() stats.Kind                                { return stats.WS }
func (sockets) encoder(*form) hub.Encoder                         { return appendMessage }
func (s sockets) data(id uint32, _ *client, b []byte) int         { return s.frames(id, b) }
func (s sockets) end(id uint32, _ *client, why stats.CloseReason) { s.t.Finish(id, why) }

func (s sockets) drain(
	id uint32,
	cl *client,
) {
	s.endStream(id, cl, stats.CloseDrain)
}
func (s sockets) dismiss(id uint32, cl *client, why stats.CloseReason) { s.endStream(id, cl, why) }
func (sockets) describe(uint32, *stats.ConnectionInfo)                 {}

func (s sockets) due(id uint32, cl *client) {
	if s.expired(id) {
		s.closeSocket(id, codePolicy, "token expired", stats.CloseExpired)
		return
	}
	s.keepAlive(id, cl, s.opts.WSPing)
}

func (sockets) showsIDs() bool { return false }

// replays leaves out close frames: those were for the connections that were there.
func (sockets) replays(effect hub.Effect) bool { return effect != hub.End }

func (sockets) appendOpening(dst []byte, _ *form) []byte { return dst }

func (sockets) appendNotice(dst []byte, _ *form, n notice) []byte {
	return ws.AppendFrame(dst, ws.Text, n.text())
}

func (s sockets) appendPosition(dst []byte, f *form, position string) []byte {
	return s.appendNotice(dst, f, notice{positionEvent, position})
}

func (s sockets) gone(id uint32) {
	s.readers.Drop(id)
	s.dropExpiry(id)
}

// upgrade answers the opening handshake of a WebSocket, and holds the connection as one.
func (c *Clients) upgrade(id uint32, cl *client) {
	req := &c.req
	h := ws.Handshake{
		Method: req.Method, Minor: req.Minor, Upgrade: req.Upgrade,
		HasBody: req.Chunked || req.ContentLength > 0, Protocols: c.opts.WSProtocols,
	}
	for _, f := range req.Fields {
		h.Add(f.Name, f.Value)
	}
	if err := h.Check(); err != nil {
		c.refuseHandshake(id, cl, err)
		return
	}
	r, ok := c.subscribe(id, cl, c.forms.webSocket)
	if !ok {
		return
	}
	c.readers.Put(id)
	c.armKeepAlive(id, c.opts.WSPing)
	c.out = ws.AppendUpgrade(c.out[:0], h.Key(), h.Protocol())
	c.out = c.appendKept(c.out, c.forms.webSocket, r)
	c.t.Send(id, c.out)
	if c.alive(id) {
		c.t.Hold(id)
	}
}

func (c *Clients) refuseHandshake(id uint32, cl *client, err error) {
	status, text, fields := 400, err.Error(), ""
	if bad, ok := errors.AsType[*ws.HandshakeError](err); ok {
		status, text = bad.Status, bad.Text
	}
	if status == 426 {
		fields = ws.UpgradeRequired
	}
	c.answer(id, cl, status, text, fields)
}

// frames takes the frames of a WebSocket's client. Its messages are read, bounded and thrown away: clients never publish.
func (c *Clients) frames(id uint32, b []byte) (used int) {
	for used < len(b) {
		e, n, err := c.readers.At(id).Next(b[used:], c.opts.MaxMessage)
		used += n
		var bad *ws.Error
		switch {
		case errors.Is(err, ws.ErrShort):
			return used
		case errors.As(err, &bad):
			c.closeSocket(id, bad.Code, bad.Text, stats.CloseBadRequest)
			return len(b)
		case err != nil: // what follows a close frame
			return len(b)
		case e.Opcode == ws.Ping:
			c.out = ws.AppendFrame(c.out[:0], ws.Pong, e.Data)
			c.t.Send(id, c.out)
		case e.Opcode == ws.Close: // the closing handshake: its code is echoed (RFC 6455 5.5.1)
			c.closeSocket(id, e.Code, "", stats.CloseClient)
		}
		if !c.alive(id) {
			return len(b)
		}
	}
	return used
}

// codePolicy closes a WebSocket whose client may not go on (RFC 6455 7.4.1).
const codePolicy ws.Code = 1008

// closeSocket sends a close frame and ends the connection.
func (c *Clients) closeSocket(id uint32, code ws.Code, reason string, why stats.CloseReason) {
	c.out = ws.AppendClose(c.out[:0], code, reason)
	c.t.Send(id, c.out)
	c.finish(id, why)
}

// opcodes are those of the message types.
var opcodes = [...]ws.Opcode{
	publish.Text:   ws.Text,
	publish.Binary: ws.Binary,
	publish.Ping:   ws.Ping,
	publish.Pong:   ws.Pong,
}

// appendMessage appends the item as a WebSocket sees it: its ws-message as one frame.
func appendMessage(dst []byte, it *publish.Item) ([]byte, hub.Effect) {
	m := &it.Message
	switch it.For(publish.WSMessage, false) {
	case publish.Content:
		if m.Type == publish.Text {
			return ws.AppendFrame(dst, ws.Text, publish.ToText(m.Content)), hub.Deliver
		}
		return ws.AppendFrame(dst, opcodes[m.Type], m.Content), hub.Deliver
	case publish.Closing:
		code := ws.CodeNormal
		if m.Code != 0 {
			code = ws.Code(m.Code)
		}
		return ws.AppendClose(dst, code, m.Reason), hub.End
	}
	return dst, hub.Nothing
}

package session

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"time"

	"holdfast/pkg/token"
)

// maxAsked is the number of a loop's tokens that are being checked at a time. The connections behind them wait.
const maxAsked = 64

// Gate checks the tokens of all loops' clients, beside the loops: a signature with a public key takes longer than a loop may
// spend on one client.
type Gate struct {
	opts      GateOptions
	questions chan question
}

// GateOptions is what a Gate goes by.
type GateOptions struct {
	Key    *token.Key
	Cookie string        // name of the cookie that may hold a token
	Grace  time.Duration // for clocks that differ, and before a connection whose token has expired is closed
	Loops  int           // that will ask
}

// question is a token to be checked.
type question struct {
	token  string
	ticket uint32
	id     uint32
	asker  Transport
}

// verdict is the answer to a question: a task for the asker's loop.
type verdict struct {
	id, ticket uint32
	claims     token.Claims
	err        error
}

// NewGate returns a Gate, for which Run has to run.
func NewGate(o GateOptions) *Gate {
	return &Gate{opts: o, questions: make(chan question, o.Loops*maxAsked)}
}

// Run checks tokens until ctx ends. Several may run.
func (g *Gate) Run(ctx context.Context) {
	for {
		select {
		case q := <-g.questions:
			v := &verdict{id: q.id, ticket: q.ticket}
			v.claims, v.err = g.opts.Key.Verify(q.token, time.Now(), g.opts.Grace)
			q.asker.Post(v)
		case <-ctx.Done():
			return
		}
	}
}

// ask is where the check of a connection's token stands.
type ask struct {
	state   askState
	ticket  uint32 // of the question
	verdict *verdict
}

type askState uint8

const (
	notAsked askState = iota // the record is not in use
	asked                    // the Gate has the question
	waiting                  // for other questions to be answered
	answered
)

// takeVerdict takes what the Gate has said of the token of the request in hand, nil when it was not
// asked. It is for this request alone: one that needs no token, because the routes have changed
// meanwhile, leaves no verdict for the next.
func (c *Clients) takeVerdict(id uint32) *verdict {
	if c.opts.Gate == nil {
		return nil
	}
	a := c.asks.Find(id)
	if a == nil || a.state != answered {
		return nil
	}
	v := a.verdict
	c.asks.Drop(id)
	return v
}

// checkToken checks that the client may have the channels that its request names. When it reports false the request is
// answered, or it waits: Clients.Data comes to it again.
func (c *Clients) checkToken(id uint32, cl *client) bool {
	if c.opts.Gate == nil {
		return true
	}
	v := c.verdict
	if v == nil {
		c.askFor(id, cl)
		return false
	}
	if v.err != nil {
		text := v.err.Error()
		c.answer(id, cl, 401, text, `WWW-Authenticate: Bearer error="invalid_token"`+"\r\n")
		return false
	}
	for _, name := range c.query.channels {
		if !v.claims.Allows(name) {
			c.answer(id, cl, 403, `the token's claim "channels" does not name `+strconv.Quote(string(name)),
				`WWW-Authenticate: Bearer error="insufficient_scope"`+"\r\n")
			return false
		}
	}
	c.expiry = v.claims.Expires.Add(c.opts.Gate.opts.Grace)
	return true
}

var errNoToken = errors.New("missing token: give it as Authorization: Bearer, as the parameter token or as a cookie")

// askFor has the token of the request in hand checked.
func (c *Clients) askFor(id uint32, cl *client) {
	tok, ok := c.findToken()
	if !ok {
		c.answer(id, cl, 401, errNoToken.Error(), "WWW-Authenticate: Bearer\r\n")
		return
	}
	cl.phase = asking
	c.t.Await(id)
	a := c.asks.Put(id)
	if c.asked == maxAsked {
		a.state = waiting // for callUp
		c.queue = append(c.queue, id)
		return
	}
	c.asked++
	c.tickets++
	a.state, a.ticket = asked, c.tickets
	c.opts.Gate.questions <- question{token: string(tok), ticket: a.ticket, id: id, asker: c.t} // has room for all who may ask
}

// findToken returns the token of the request in hand: from Authorization, else the parameter, else the cookie.
func (c *Clients) findToken() (tok []byte, ok bool) {
	if value, found := c.req.Field("Authorization"); found {
		if tok, ok = token.Bearer(value); ok {
			return tok, true
		}
	}
	if len(c.query.token) > 0 {
		return c.query.token, true
	}
	if c.cors == corsAny { // a browser sends its cookies for any page
		return nil, false
	}
	for i := range c.req.Fields {
		f := &c.req.Fields[i]
		if !bytes.EqualFold(f.Name, cookieName) {
			continue
		}
		if tok, ok = token.Cookie(f.Value, c.opts.Gate.opts.Cookie); ok {
			return tok, true
		}
	}
	return nil, false
}

var cookieName = []byte("Cookie")

// answerAsk takes the Gate's answer.
func (c *Clients) answerAsk(v *verdict) {
	c.asked--
	if a := c.asks.Find(v.id); a != nil && a.state == asked && a.ticket == v.ticket { // else the connection is gone
		a.state, a.verdict = answered, v
		c.goOn(v.id)
	}
}

// callUp has as many of those who wait ask as the Gate has room for. It runs when the requests of a batch are served, so that whoever
// was called up before and did not ask has cost nobody's turn. It reports whether some go on.
func (c *Clients) callUp() (more bool) {
	for room := maxAsked - c.asked; room > 0 && len(c.queue) > 0; {
		id := c.queue[0]
		if c.queue = c.queue[1:]; len(c.queue) == 0 {
			c.queue = nil
		}
		if a := c.asks.Find(id); a != nil && a.state == waiting {
			c.asks.Drop(id)
			c.goOn(id)
			room--
			more = true
		}
	}
	return more
}

// goOn goes on with the request of a connection that waited.
func (c *Clients) goOn(id uint32) {
	c.table.At(id).phase = reading
	c.t.Arm(id, c.opts.HeaderTimeout) // that of the head is over, and must not come between
	c.t.Again(id)
}

// expireAt is when a held connection ends because its token does; zero: never.
func (c *Clients) expireAt(id uint32) time.Time {
	if e := c.expiries.Find(id); e != nil && *e != 0 {
		return time.Unix(*e, 0)
	}
	return time.Time{}
}

// untilExpiry shortens d to the time that the connection's token still lasts.
func (c *Clients) untilExpiry(id uint32, d time.Duration) time.Duration {
	if at := c.expireAt(id); !at.IsZero() {
		return min(d, max(time.Until(at), 0))
	}
	return d
}

// expired reports whether the connection's token is.
func (c *Clients) expired(id uint32) bool {
	at := c.expireAt(id)
	return !at.IsZero() && !time.Now().Before(at)
}

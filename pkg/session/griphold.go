package session

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"holdfast/pkg/exchange"
	"holdfast/pkg/grip"
	"holdfast/pkg/http1"
	"holdfast/pkg/publish"
	"holdfast/pkg/route"
	"holdfast/pkg/stats"
)

// gripHold is what a backend asked for a held connection.
type gripHold struct {
	keep *gripKeep // keep-alive of a stream; nil: it has none
	more *gripMore // nil for a stream without filters
}

// gripKeep is a keep-alive that connections of a loop share: a backend wants the same for very many.
type gripKeep struct {
	keepKey
	conns int
}

type keepKey struct {
	data  string
	mode  grip.KeepAliveMode
	every time.Duration
}

// shareKeep returns the keep-alive, which dropGrip gives back.
func (c *Clients) shareKeep(k grip.KeepAlive) *gripKeep {
	if len(k.Data) == 0 || k.Interval <= 0 {
		return nil
	}
	key := keepKey{string(k.Data), k.Mode, k.Interval}
	keep := c.keepAlives[key]
	if keep == nil {
		keep = &gripKeep{keepKey: key}
		if c.keepAlives == nil {
			c.keepAlives = map[keepKey]*gripKeep{}
		}
		c.keepAlives[key] = keep
	}
	keep.conns++
	return keep
}

func (c *Clients) unshareKeep(keep *gripKeep) {
	if keep == nil {
		return
	}
	if keep.conns--; keep.conns == 0 {
		delete(c.keepAlives, keep.keepKey)
	}
}

// gripMore is what a hold with filters needs, or a held response. There may be very many of the former: it takes 48 bytes.
type gripMore struct {
	route   *route.Route
	user    string
	filters grip.Filter // of all its channels, when each is nil
	flags   uint16      // of proxied
	each    *gripEach
}

// gripEach is what a held response needs, or a stream whose channels differ.
type gripEach struct {
	plan     *exchange.Plan // nil for a stream
	channels []grip.Channel // with their prev-ids as they are now
	cost     int            // of the HoldBudget
}

// channel returns the hold's channel that an item is published to, if it is in each.
func (m *gripMore) channel(name string) *grip.Channel {
	name, ok := strings.CutPrefix(name, m.route.Prefix)
	if !ok || m.each == nil {
		return nil
	}
	channels := m.each.channels
	for i := range channels {
		if channels[i].Name == name {
			return &channels[i]
		}
	}
	return nil
}

// filtersOf returns the filters of the subscription by which an item comes.
func (m *gripMore) filtersOf(ch *grip.Channel) grip.Filter {
	if ch != nil {
		return ch.Filters
	}
	return m.filters
}

// holdFor holds the connection as the backend asks.
func (c *Clients) holdFor(id uint32, cl *client, p *proxied, plan *exchange.Plan) {
	rt := plan.Route.(*route.Route)
	in := plan.Instruct
	flags := p.flags
	if !p.is(bodyDone) {
		flags &^= keepsAlive
	}
	chunked := !p.is(oldClient)
	if in.Hold == grip.StreamHold && plan.Begun {
		chunked = p.is(answerChunked)
	}
	channels := c.gripChannels(id, in.Channels)
	in.Channels = channels
	f := c.gripForm(in.Hold, chunked, channels)
	subs, ok := c.joinGrip(id, f, rt.Prefix, channels, plan.Subs)
	if !ok {
		c.gripError(id, cl, p, plan)
		return
	}
	cl.subs = subs // from here on they end with the connection, or by leave
	if in.Hold == grip.ResponseHold {
		more := &gripMore{
			route: rt,
			user:  in.Meta[grip.UserMeta],
			flags: flags,
			each:  &gripEach{plan: plan, channels: slices.Clone(channels)},
		}
		c.holdResponse(id, cl, p, more)
		return
	}
	h := gripHold{}
	if f == c.forms.gripFiltered.of(chunked) {
		h.more = &gripMore{route: rt, user: strings.Clone(in.Meta[grip.UserMeta]), flags: flags}
		if same := channels[0].Filters; len(plan.Subs) == 0 &&
			!slices.ContainsFunc(
				channels,
				func(ch grip.Channel) bool { return ch.Filters != same },
			) {
			h.more.filters = same
		} else {
			h.more.each = &gripEach{channels: slices.Clone(channels)}
		}
	}
	if !c.openStream(id, cl, p, plan, chunked) {
		return
	}
	h.keep = c.shareKeep(in.KeepAlive)
	c.startHold(id, cl, f, h)
	c.armGrip(id, h.keep)
	c.t.Hold(id)
	c.t.Again(id) // what the client still sends is thrown away, its leaving is seen
}

// openStream sends what a held stream begins with, as far as that has not happened. When it reports false there is nothing to hold: the
// connection is gone, or answered, or ends because pushd does.
func (c *Clients) openStream(
	id uint32,
	cl *client,
	p *proxied,
	plan *exchange.Plan,
	chunked bool,
) bool {
	if !plan.Begun {
		plan.Head.Length, plan.Head.Closes = -1, !p.is(headOnly)
		c.beginAnswer(id, p, plan.Head, nil)
		if c.alive(id) && !p.is(answerEmpty) && len(plan.Body) > 0 {
			c.t.Send(id, appendFramed(c.out[:0], plan.Body, chunked))
		}
	}
	switch {
	case !c.alive(id):
		return false
	case p.is(answerEmpty): // HEAD, 204, 304
		c.leave(cl)
		c.endAnswer(id, cl)
		return false
	case c.draining:
		c.leave(cl)
		if chunked {
			c.t.Send(id, []byte(http1.FinalChunk))
		}
		c.finish(id, stats.CloseDrain)
		return false
	}
	return true
}

// leave ends a connection's subscriptions.
func (c *Clients) leave(cl *client) {
	c.members.Leave(cl.subs)
	cl.subs = 0
}

func appendFramed(dst, b []byte, chunked bool) []byte {
	if chunked {
		return http1.AppendChunk(dst, b)
	}
	return append(dst, b...)
}

// gripForm is the form of a hold.
func (c *Clients) gripForm(kind grip.Hold, chunked bool, channels []grip.Channel) formID {
	switch {
	case kind == grip.ResponseHold:
		return c.forms.gripResponse
	case slices.ContainsFunc(channels, func(ch grip.Channel) bool { return ch.Filters != 0 }):
		return c.forms.gripFiltered.of(chunked)
	}
	return c.forms.gripStream.of(chunked)
}

// gripChannels returns the channels of a hold, as many as a connection may have: the others are left out, as Pushpin does, but
// not silently.
func (c *Clients) gripChannels(id uint32, channels []grip.Channel) []grip.Channel {
	if len(channels) <= c.opts.MaxChannels {
		return channels
	}
	c.stats.Dropped[stats.DropSubscriptions].Add(uint64(len(channels) - c.opts.MaxChannels))
	c.warn(
		"a backend subscribes a connection to more channels than --max-subscriptions",
		id,
		slog.Int("channels", len(channels)),
	)
	return slices.Clone(channels[:c.opts.MaxChannels])
}

// joinGrip subscribes the connection to the hold's channels, or to none.
func (c *Clients) joinGrip(
	id uint32,
	f formID,
	prefix string,
	channels []grip.Channel,
	extra []string,
) (subs uint32, ok bool) {
	join := func(name string) bool {
		c.line = append(c.line[:0], name...)
		if publish.CheckChannel(c.line) != nil {
			return false
		}
		subs, ok = c.members.Join(id, c.line, uint8(f), subs)
		return ok
	}
	for i := range channels {
		if !join(prefix + channels[i].Name) {
			c.members.Leave(subs)
			return 0, false
		}
	}
	for _, name := range extra {
		if !join(name) {
			c.members.Leave(subs)
			return 0, false
		}
	}
	return subs, true
}

// gripError answers a request whose hold cannot be: a channel's name with its prefix is too long, or there are too many channels.
func (c *Clients) gripError(id uint32, cl *client, p *proxied, plan *exchange.Plan) {
	if plan.Begun {
		c.cutAnswer(id, p)
		return
	}
	h, body := proxyError()
	c.warn(
		"a backend's hold cannot be: its channels are too many, or a name with its prefix is too long",
		id,
	)
	c.beginAnswer(id, p, h, body)
	c.endAnswer(id, cl)
}

// proxyError is the answer for what a backend or a publisher did wrong.
func proxyError() (h *exchange.Head, body []byte) {
	body = []byte("Error while proxying to origin.\n")
	return &exchange.Head{
		Status: 502,
		Fields: []exchange.Field{{Name: "Content-Type", Value: "text/plain"}},
		Length: int64(len(body)),
	}, body
}

// startHold ends the exchange and holds the connection.
func (c *Clients) startHold(id uint32, cl *client, f formID, h gripHold) {
	c.dropProxied(id)
	*c.grips.Put(id) = h
	c.stats.Move(stats.HTTP, c.forms.at(f).kind.counts())
	cl.phase, cl.form = held, f
}

// leaveGrip takes a held connection out of its channels.
func (c *Clients) leaveGrip(id uint32, cl *client) {
	c.leave(cl)
	c.stats.Move(c.form(cl).kind.counts(), stats.HTTP)
	c.form(cl).kind.gone(id)
	cl.phase = idle
	c.t.Release(id)
}

// dropGrip forgets what a backend asked for a connection that is not held any more.
func (c *Clients) dropGrip(id uint32) {
	c.unshareKeep(c.grips.At(id).keep)
	c.grips.Drop(id)
}

package tui

import (
	"context"
	"fmt"

	tea "charm.land/bubbletea/v2"

	"holdfast/pkg/stats"
)

// connDetail is one connection in full.
type connDetail struct {
	row  connRow // the latest that is known of it
	full bool    // row has come in full
	gone bool    // it has ended since
	top  int     // first of its channels that is shown
}

// showOne asks for the connection in full.
func (v *connections) showOne(m *model) tea.Cmd {
	d := v.one
	if d.gone {
		return nil
	}
	q := stats.ConnectionQuery{Top: 1, ID: d.row.ID}
	round := v.begin()
	return v.unlessNil(askAll(m, []*node{d.row.node}, func(ctx context.Context, p pushd) (*stats.ConnectionList, error) { return p.Connections(ctx, q) },
		func(m *model, parts []part[*stats.ConnectionList]) tea.Cmd {
			if v.end(round) && v.one == d {
				d.take(m, parts[0])
			}
			return nil
		}))
}

func (d *connDetail) take(m *model, p part[*stats.ConnectionList]) {
	switch {
	case p.err != nil:
		m.say(bad, "pushd did not say: %s", m.g.clean(lossReason(p.err)))
	case len(p.value.Connections) == 0:
		d.gone = true
	default:
		d.row.ConnectionInfo, d.full = p.value.Connections[0], true
	}
}

func (v *connections) keyOne(m *model, key string) (tea.Cmd, bool) {
	d := v.one
	page := max(1, m.height-14)
	switch key {
	case "esc", "enter", "backspace":
		v.one = nil
		v.drop()
		return v.show(m), true
	case "x", "delete":
		if !d.gone {
			v.askToClose(m, d.row)
		}
	case "j", "down":
		d.top++
	case "k", "up":
		d.top--
	case "pgdown":
		d.top += page
	case "pgup":
		d.top -= page
	case "g", "home":
		d.top = 0
	case "G", "end":
		d.top = len(d.row.Channels)
	default:
		return nil, false
	}
	return nil, true
}

func (d *connDetail) body(m *model, width, height int) []line {
	c := &d.row
	g := m.g
	out := []line{line{}.add(plain, " ").add(strong, "Connection "+g.clean(c.ID))}
	if d.gone {
		out[0] = out[0].add(plain, "  ").add(warn, "has ended; these are its last figures")
	}
	field := func(name, value string) {
		out = append(out, line{}.add(dim, padRight("   "+name, 16)).add(plain, value))
	}
	if len(m.nodes) > 1 {
		field("pushd", g.cutMiddle(c.node.name(g), width-16))
	}
	field("client", g.clean(c.Address))
	if c.Proxy != "" {
		field("through proxy", g.clean(c.Proxy))
	}
	field("kind, state", g.clean(c.Kind)+", "+g.clean(c.State))
	field("age", age(seconds(c.AgeSeconds))+"; last written to "+age(seconds(c.QuietSeconds))+" ago")
	queued := byteSize(c.QueuedBytes)
	if c.QueuedBytes >= 1000 {
		queued += " (" + whole(c.QueuedBytes) + " bytes)"
	}
	field("queued", queued)
	field("event loop", fmt.Sprint(c.Loop))
	if c.Route != "" {
		field("route", g.clean(c.Route))
	}
	field("channels", whole(c.Subscriptions))
	return append(out, d.channels(g, height-len(out))...)
}

// channels lists the names from the first shown on, in height lines. The last line says what is not shown.
func (d *connDetail) channels(g *glyphs, height int) []line {
	names := d.row.Channels
	unlisted := d.row.Subscriptions - len(names)
	room := height
	if len(names) > height || unlisted > 0 {
		room--
	}
	if room <= 0 {
		return nil
	}
	d.top = min(max(d.top, 0), max(0, len(names)-room))
	last := min(len(names), d.top+room)
	var out []line
	for i := d.top; i < last; i++ {
		out = append(out, line{}.add(dim, padLeft(fmt.Sprint(i+1), 9)+"  ").add(plain, g.clean(names[i])))
	}
	switch below := len(names) - last; {
	case below > 0:
		out = append(out, line{}.add(dim, fmt.Sprintf("   %s %s more below", g.down, whole(below+max(unlisted, 0)))))
	case unlisted > 0:
		out = append(out, line{}.add(dim, fmt.Sprintf("   %s %s more that are not listed here", g.more, whole(unlisted))))
	}
	return out
}
